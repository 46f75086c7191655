"""The tasks under Gymnasium's names, for agents of any kind: 51 of DM Control, and Atari's games.

    import gymnasium
    import suites.tasks.registration
    envs = gymnasium.make_vec("plan-or-learn/cheetah-run-v0", num_envs=16, threads=2)
    envs = gymnasium.make_vec("plan-or-learn/pong-v0", num_envs=16)

or in one expression, without the import:
`gymnasium.make_vec("suites.tasks.registration:plan-or-learn/cheetah-run-v0", num_envs=16)`.

What comes back is a `suites.tasks.control.ControlTask`, stepped in compiled code where the task has
a twin; of an Atari game, a `suites.tasks.atari.task.AtariTask` that shows pixels, or with
`observation="ram"` the RAM. It resets itself in the step that ends an episode (Gymnasium's
`SAME_STEP`).
"""

import gymnasium

from suites.tasks.atari_names import GAMES
from suites.tasks.control_names import TASKS

NAMESPACE = "plan-or-learn"


def identifier(name: str) -> str:
    """Gymnasium's name of a task: `cheetah-run` is `plan-or-learn/cheetah-run-v0`."""
    return f"{NAMESPACE}/{name}-v0"


for _names, _entry, _options in (
    (TASKS, "suites.tasks.control:suite_task", {}),
    (GAMES, "suites.tasks.atari:make", {"observation": "pixels"}),
):
    for _name in _names:
        _given = {"name": _name, **_options}
        gymnasium.register(identifier(_name), vector_entry_point=_entry, kwargs=_given)
