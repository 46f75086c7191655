"""Parts that keep to their interfaces, and others that don't, each in one respect."""

from typing import Any

import numpy as np

from planners.interface import Plan
from suites.tasks.toy import ChainTask
from world_models.simulator import Simulator


class Shooting:
    """The best of some random plans."""

    plan_every, late = 1, False
    horizon = 5

    def __init__(self, spec: Any, budget: int):
        self.space, self.plans = spec.action_space, budget // self.horizon

    def init(self, batch: int) -> np.ndarray:
        return np.zeros(batch)

    def plan(self, model: Any, prior: Any, state: Any, carry: Any, noise: Any) -> Any:
        actions = self.actions(noise)
        rewards, *_ = model.rollout(state, actions)
        scores = self.scores(rewards.sum(axis=-1))
        best = actions[np.arange(len(actions)), scores.argmax(axis=1)]
        return Plan(best[:, 0], best, scores.max(axis=1)), carry + 1

    def actions(self, noise: Any) -> np.ndarray:
        return self.scaled(noise.uniform(self.plans, self.horizon, self.space.shape[0]))

    def scaled(self, uniform: np.ndarray) -> np.ndarray:
        return self.space.low + (self.space.high - self.space.low) * uniform

    def scores(self, scores: np.ndarray) -> np.ndarray:
        return scores


class Moody(Shooting):
    """It draws from a stream of its own."""

    random = np.random.default_rng(0)

    def actions(self, noise: Any) -> np.ndarray:
        shape = (noise.batch, self.plans, self.horizon, self.space.shape[0])
        return self.scaled(self.random.random(shape))


class Remembering(Shooting):
    """It keeps something between decisions."""

    bias = 0.0

    def scores(self, scores: np.ndarray) -> np.ndarray:
        self.bias += 1.0
        return scores + self.bias


class Mingling(Shooting):
    """It lets environments decide together."""

    def actions(self, noise: Any) -> np.ndarray:
        own = super().actions(noise)
        return np.broadcast_to(own.mean(axis=0), own.shape)


class Spending(Shooting):
    """It takes more than it was given."""

    def __init__(self, spec: Any, budget: int):
        super().__init__(spec, 2 * budget)


class Unbounded(Shooting):
    """Its actions are beyond the bounds."""

    def scaled(self, uniform: np.ndarray) -> np.ndarray:
        return 3 * super().scaled(uniform)


class Halving(Shooting):
    """Its discrete actions are no whole numbers."""

    def actions(self, noise: Any) -> np.ndarray:
        return noise.uniform(self.plans, self.horizon)


class Diverging(Shooting):
    """Its statistics are not finite, which is allowed."""

    def plan(self, model: Any, prior: Any, state: Any, carry: Any, noise: Any) -> Any:
        plan, carry = super().plan(model, prior, state, carry, noise)
        plan.statistics["spread"] = float("nan")
        return plan, carry


class Faceless:
    """It has nothing of what it should."""

    def __init__(self, spec: Any, budget: int):
        self.plan_every = 1


class Crashing(Shooting):
    """It has a bug."""

    def scores(self, scores: np.ndarray) -> np.ndarray:
        return scores[:, 10_000]


class Meddling(Simulator):
    """A rollout moves the state."""

    def rollout(self, state: np.ndarray, plans: np.ndarray) -> Any:
        found = super().rollout(state, plans)
        state += 1e-3
        return found


class Traitless:
    """It does not say whether it trains."""

    stride = 1

    def __init__(self, task: Any, threads: int):
        pass


class Uncounted(Simulator):
    """Rollouts are free."""

    def rollout(self, state: np.ndarray, plans: np.ndarray) -> Any:
        before = self.sim_steps
        found = super().rollout(state, plans)
        self.sim_steps = before
        return found


def forgetful(spec: Any, **options: Any) -> Any:
    """A learner that leaves something out of its checkpoints."""
    from learners.td3 import TD3

    class Forgetful(TD3):
        def load(self, state: Any) -> None:
            optimiser = self.actor_optimiser.state_dict()
            super().load(state)
            self.actor_optimiser.load_state_dict(optimiser)

    return Forgetful(spec, **options)


def exploring(spec: Any, **options: Any) -> Any:
    """A learner that explores when it is evaluated."""
    from learners.td3 import TD3

    class Exploring(TD3):
        @property
        def greedy(self) -> Any:
            return self

    return Exploring(spec, **options)


class Alike(ChainTask):
    """All of its environments have the same seed."""

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return super().reset(seed=None if seed is None else [seed] * self.num_envs)


class Endless(ChainTask):
    """It is never truncated, and has no way to the goal."""

    def step(self, actions: np.ndarray) -> Any:
        self._steps[:] = 0
        return super().step(0 * actions)


class Going(ChainTask):
    """After its end an episode goes on."""

    def _restart(self, which: np.ndarray) -> None:
        if not hasattr(self, "begun"):
            super()._restart(which)
        self.begun = True


class Blank:
    """It is no task at all."""


class Lonely(ChainTask):
    """There can be one of it only."""

    def __init__(self, num_envs: int = 1):
        if num_envs > 1:
            raise RuntimeError("one is enough")
        super().__init__(num_envs)


class Forgetting(ChainTask):
    """A snapshot has not got everything."""

    def restore(self, snapshot: Any) -> np.ndarray:
        seen = super().restore(snapshot)
        self.simulation.states[:, 0] = 0
        return seen
