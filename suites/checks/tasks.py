"""What a task must keep to: Gymnasium's `VectorEnv`, and going back exactly.

Each check takes `make(num_envs)`, which makes the task.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from suites.audit import COMPARED, audit, draw
from suites.checks.broken import demand, difference

Make = Callable[[int], Any]
STEPS = 30
MOST = 3000  # steps in which an episode is looked for that ends
CASES = 10


def follows_its_spaces(make: Make) -> None:
    """Shapes, types and finite numbers along random steps."""
    task, random = make(2), np.random.default_rng(0)
    facts = task.facts
    seen, _ = task.reset(seed=0)
    for _ in range(STEPS):
        shape = (2, *facts.observation_space.shape)
        demand(seen.shape == shape, f"observations are {seen.shape}, and by its facts {shape}")
        kind = facts.observation_space.dtype
        demand(seen.dtype == kind, f"observations are {seen.dtype}, and by its facts {kind}")
        demand(np.isfinite(seen).all(), "an observation is not finite")
        seen, reward, *ends, _ = task.step(draw(task, random, 2))
        demand(reward.shape == (2,), f"rewards are {reward.shape}, not (2,)")
        demand(np.isfinite(reward).all(), "a reward is not finite")
        for name, end in zip(("terminated", "truncated"), ends, strict=True):
            good = end.shape == (2,) and end.dtype == bool
            demand(good, f"{name} is {end.dtype} {end.shape}, not bool (2,)")


def repeats_with_its_seed(make: Make) -> None:
    """The same seed twice; and each environment is as it would be alone."""
    task = make(3)
    one = _way(task, 7, slice(None))
    told = difference(one, _way(task, 7, slice(None)))
    demand(told is None, f"with the same seed and actions, {told} differs")
    alone = _way(make(1), 9, slice(2, 3))
    told = difference({name: rows[:, 2:] for name, rows in one.items()}, alone)
    demand(
        told is None,
        f"environment 2 of reset(seed=7) is not environment 0 of reset(seed=9): {told} differs",
    )


def _way(task: Any, seed: int, which: slice) -> dict[str, np.ndarray]:
    """Observations [T, B, O] and rewards [T, B] of actions that don't depend on B."""
    random = np.random.default_rng(0)
    seen, rewards = [task.reset(seed=seed)[0]], []
    for _ in range(STEPS):
        following, reward, *_ = task.step(draw(task, random, 3)[which])
        seen.append(following)
        rewards.append(reward)
    return {"the observation": np.array(seen), "the reward": np.array(rewards)}


def goes_back_exactly(make: Make) -> None:
    """What `python -m suites.audit` measures, briefly."""
    wrong = audit(make(1), CASES, 0)
    for name in COMPARED:
        shown = {kind: count for kind, count in wrong[name].items() if kind != "state"}
        said = {
            "plan": "the simulation that plans are made in predicts otherwise",
            "snapshot": "after restore(snapshot()) it goes on otherwise",
        }[name]
        count = max(shown.values(), default=0)
        demand(not shown, f"{said}: {', '.join(shown)} in {count} of {CASES}")


def ends_as_it_should(make: Make) -> None:
    """Truncation at the horizon, and the next episode, which ends like the first."""
    task, random = make(1), np.random.default_rng(0)
    horizon, steps, episodes = task.facts.horizon, 0, 0
    task.reset(seed=0)
    for _ in range(MOST):
        seen, _, terminated, truncated, infos = task.step(draw(task, random, 1))
        steps += 1
        if not (terminated[0] or truncated[0]):
            demand("final_obs" not in infos, "final_obs where no episode ended")
            demand(steps < horizon, f"no end after {steps} control steps, which is its horizon")
            continue
        last = infos.get("final_obs")
        demand(last is not None, 'the step that ends an episode has no infos["final_obs"]')
        shape = (1, *task.facts.observation_space.shape)
        demand(np.shape(last) == shape, f"final_obs is {np.shape(last)}, not {shape}")
        same = np.array_equal(last, seen)
        demand(not same, "the step that ends an episode does not give the next one's observation")
        early = truncated[0] and steps < horizon
        which = "the first" if episodes == 0 else "the next"
        demand(
            not early,
            f"{which} episode is truncated after {steps} control steps; its horizon is {horizon}",
        )
        episodes, steps = episodes + 1, 0
        if episodes == 2:
            return


CHECKS = {
    "observations, rewards and ends are what its facts say": follows_its_spaces,
    "a seed gives the same episode, in any number of environments": repeats_with_its_seed,
    "it goes back to snapshots exactly, and plans are made in the same world": goes_back_exactly,
    "an episode ends at its horizon, or of its own": ends_as_it_should,
}
