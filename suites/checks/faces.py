"""What a part must have, by the protocols of its axis: without it, nothing else can be checked."""

from typing import Any

from suites.checks.broken import BrokenError

_TASK = ("facts", "num_envs", "reset", "step", "snapshot", "restore", "simulation")
_TASK = (*_TASK, "planning_simulation", "action_space", "observation_space")
_MODEL = ("trains", "stride", "begin", "rollout", "select", "features", "model_steps")
_TRUTH = ("sim_steps", "sim_frames")
_LEARNED = ("latent", "warming", "updates", "flops", "step", "make_source", "update", "state")
_LEARNED = (*_LEARNED, "load")
_PLANNER = ("plan_every", "late", "init", "plan")
_PRIOR = ("trains", "greedy", "sample", "value", "has_value")
_LEARNER = ("num_envs", "on_policy", "updates", "flops", "state", "load")
_ITSELF, _JOINT = ("make_source", "update"), ("joint", "shaping", "follow")


def _demand(part: Any, names: tuple[str, ...], protocol: str) -> None:
    missing = [name for name in names if not hasattr(part, name)]
    if missing:
        kind = type(part).__name__
        raise BrokenError(f"{kind} has no {', '.join(missing)}: see {protocol}")


def task(part: Any) -> None:
    """As `suites.tasks.control.ControlTask`."""
    _demand(part, _TASK, "ControlTask in suites/tasks/control/task.py")


def world_model(part: Any) -> None:
    """As `planners.interface.WorldModel`, or `world_models.interface.LearnedModel`."""
    _demand(part, _MODEL, "WorldModel in planners/interface.py")
    if part.trains:
        _demand(part, _LEARNED, "LearnedModel in world_models/interface.py")
    else:
        _demand(part, _TRUTH, "Simulator in world_models/simulator.py")


def planner(part: Any) -> None:
    """As `planners.interface.Planner`."""
    _demand(part, _PLANNER, "Planner in planners/interface.py")


def learner(part: Any) -> None:
    """As `learners.interface.Learner`."""
    _demand(part, _PRIOR, "Learner in learners/interface.py")
    if part.trains:
        _demand(part, _LEARNER, "Learner in learners/interface.py")
        latent = getattr(part, "latent", False)
        protocol = f"{'LatentLearner' if latent else 'Learner'} in learners/interface.py"
        _demand(part, _JOINT if latent else _ITSELF, protocol)
