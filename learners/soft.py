"""Soft actor-critic for the actions that a task has."""

import inspect
from typing import Any

from learners.discrete_sac import DiscreteSAC
from learners.sac import SAC

# What options that are None become. Christodoulou (2019) aims at 0.98 of the largest entropy, which
# leaves a policy next to uniform.
CONTINUOUS = {"network": "mlp", "batch": 256, "target_entropy": -1.0}
DISCRETE = {"torso": "nature", "batch": 64, "target_entropy": 0.5}


def make_learner(spec: Any, **options: Any) -> SAC | DiscreteSAC:
    """The learner of `learner=sac`. What depends on the actions and is None keeps their default.

    Raises:
      ValueError: for bad options, and those that the form for these actions does not have.
    """
    discrete = hasattr(spec.action_space, "n")
    form, preset = (DiscreteSAC, DISCRETE) if discrete else (SAC, CONTINUOUS)
    known = [name for name in inspect.signature(form).parameters if name != "spec"]
    given = {
        key: value
        for key, value in options.items()
        if value is not None or (key in known and key not in preset)
    }
    for key in given:
        if key not in known:
            raise ValueError(
                f"learner.{key}: with {spec.name}'s {'discrete' if discrete else 'continuous'}"
                f" actions there is no such option; there are {', '.join(known)}"
            )
    return form(spec, **{**preset, **given})
