"""The one training loop: decide, act, remember, update."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from learners.interface import Transitions
from learners.none import NoLearner
from planners.interface import Plan
from planners.noise import Noise
from planners.none import NoPlanner
from suites.errors import UserError
from suites.evaluate import Agent
from suites.ledger import Costs, Meter
from suites.reanalysis import reanalyse

_COUNTED = ("updates", "flops", "sim_steps", "sim_frames", "model_steps")


def training_seed(seed: int) -> int:
    """Seed of the training environments: below 2^30, while evaluation uses seeds from 2^31."""
    return int(np.random.SeedSequence([seed, 1]).generate_state(1)[0] >> 2)


@contextmanager
def _told() -> Iterator[None]:
    """What a source can't take is told in a line."""
    try:
        yield
    except (ValueError, MemoryError) as error:
        raise UserError(str(error)) from error


class Trainer:
    """An agent in training, with its environments and what it has seen.

    Arguments:
      agent: Its prior is the learner, and explores. It, the world model, or both learn.
      task: An instance for training alone, with `learner.num_envs` environments.
      seed: Keys the environments and the noise of decisions.
      folder: Where a source that outgrows memory may lie.

    Raises:
      UserError: for a planner whose plans come late.

    Attributes:
      env_steps: Control steps so far.
      costs: Since they were last taken.
      logged: Control steps when what was said was last taken.
      said: What the learning parts said, and the returns of episodes, since they were last taken.
    """

    def __init__(self, agent: Agent, task: Any, seed: int, folder: Path, meter: Meter):
        if agent.planner.late:
            raise UserError(
                "planner.latency: plans that come late can't be learned from; train without it"
            )
        self.agent, self.task, self.seed, self.meter = agent, task, seed, meter
        # Without a planner, a learned model is of use to the learner, or to nobody.
        acts = isinstance(agent.planner, NoPlanner)
        self._practises = acts and len(agent.trained) == 2 and not agent.model.latent
        with _told():
            self.sources = self._make_sources(folder)
        self._random = NoLearner(task.facts)
        self.costs = Costs()
        self.env_steps = self.decisions = self.logged = 0
        self._carry = agent.planner.init(task.num_envs)
        space = task.facts.action_space
        self._bounds = (space.low, space.high) if isinstance(space, Box) else None
        self._observation, _ = task.reset(seed=training_seed(seed))
        self._start = np.ones(task.num_envs, bool)
        self._returns = np.zeros(task.num_envs)
        self.said: dict[str, list[float]] = {}
        self._counted = self._counts()

    def _make_sources(self, folder: Path) -> dict[str, Any]:
        """What each part learns from; with a latent model, both from the model's."""
        envs, trained = self.task.num_envs, self.agent.trained
        model = self.agent.model
        if model.trains and (self._practises or model.latent):
            sources = {"world_model": model.make_source(envs, folder)}
            if self._practises:
                from suites.imagination import Imagination

                sources["learner"] = Imagination(
                    sources["world_model"], model, self.agent.prior, self.seed, folder
                )
            return sources
        return {name: part.make_source(envs, folder) for name, part in trained.items()}

    def run(self, until: int, on_decision: Callable[["Trainer"], None]) -> None:
        """Train until `until` control steps; `on_decision` is told of every decision.

        Raises:
          UserError: for a loss, a reward or an observation that is not finite.
        """
        self._counted = self._counts()  # evaluation counts for itself
        while self.env_steps < until:
            self._decide()
            begin = self._clock()
            self._update()
            self.costs.update_seconds += self._clock() - begin
            on_decision(self)

    def _decide(self) -> None:
        """One decision, held for as long as the planner says, and what it led to."""
        agent, task, batch = self.agent, self.task, self.task.num_envs
        begin = self._clock()
        noise = Noise.together(batch, self.seed, self.decisions)
        if self._start.all():
            self._carry = agent.planner.init(batch)
        elif self._start.any() and hasattr(agent.planner, "restart"):
            self._carry = agent.planner.restart(self._carry, self._start)
        plan = self._plan(noise)
        action, label = plan.action, None
        if agent.reactive:
            action, label = agent.prior.mix(self._observation, action, noise), action
        decided = self._clock()
        clipped = action if self._bounds is None else np.clip(action, *self._bounds)
        reward = np.zeros(batch)
        held = 0
        while True:
            following, paid, terminated, truncated, infos = task.step(clipped)
            reward += paid
            held, ended = held + 1, terminated | truncated
            if held == agent.every or ended.any():
                break  # after an end the next episode begins with a decision of its own
        steps = batch * held
        self.env_steps += steps
        self.costs.env_steps += steps
        self.costs.env_frames += steps * task.facts.frames_per_step
        last = infos.get("final_obs", following)
        self._check("an observation", last)
        self._check("a reward", reward)
        seen = self._observation, action, reward, terminated, truncated, last, self._start
        found = plan.policy, label, plan.candidates
        transitions = Transitions(*seen, held, *found)
        with _told():
            for source in self.sources.values():
                source.add(transitions)
        self._observation, self._start = following, ended
        self._returns += reward
        for b in np.flatnonzero(self._start):
            self.said.setdefault("training_return", []).append(float(self._returns[b]))
            self._returns[b] = 0.0
        self.decisions += 1
        self.costs.decisions += batch
        self.costs.act_seconds += decided - begin
        self.costs.collect_seconds += self._clock() - decided

    def _update(self) -> None:
        """What there is to learn from the decisions so far."""
        model, learner, sources = self.agent.model, self.agent.prior, self.sources
        if model.trains:
            reanalyse(self.agent, sources["world_model"], self.seed)
            with _told():
                said = model.update(sources["world_model"], learner)
            self._remember(said)
            if said and self._practises:
                sources["learner"].refresh()
        if "learner" in sources:
            with _told():
                said = learner.update(sources["learner"])
            self._remember(said)

    def _plan(self, noise: Noise) -> Plan:
        """A decision; at random while a world model has seen too little."""
        agent, observation = self.agent, self._observation
        if agent.model.trains and agent.model.warming:
            action = self._random.sample(observation, noise)
            return Plan(action, action[:, None], np.zeros(len(action)))
        state = agent.model.begin(observation, self.task)
        plan, self._carry = agent.planner.plan(agent.model, agent.prior, state, self._carry, noise)
        return plan

    def _clock(self) -> float:
        """Seconds that pass, without those of compilation."""
        return time.perf_counter() - self.meter.compile_seconds()

    def _check(self, what: str, values: np.ndarray) -> None:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(
                f"{self.task.facts.name}: {what} is not finite at control step"
                f" {self.env_steps} of training; check the task"
            )

    def _remember(self, said: dict[str, float]) -> None:
        for name, value in said.items():
            if not np.isfinite(value):
                raise UserError(
                    f"{name} is {value} at control step {self.env_steps} of training, gradient step"
                    f" {self.agent.count('updates')}"
                )
            self.said.setdefault(name, []).append(value)

    def take_log(self) -> dict[str, Any]:
        """Means of what was said since the last call: losses, and returns of training episodes."""
        said, self.said, self.logged = self.said, {}, self.env_steps
        means = {name: fmean(values) for name, values in said.items()}
        return {"env_steps": self.env_steps, "updates": self.agent.count("updates"), **means}

    def take_costs(self) -> Costs:
        """What training has cost since the last call."""
        self._settle()
        costs, self.costs = self.costs, Costs()
        return costs

    def _settle(self) -> None:
        """Bring the costs up to date."""
        self.costs += self.meter.lap()
        counts = self._counts()
        for name in _COUNTED:
            spent = counts[name] - self._counted[name]
            setattr(self.costs, name, getattr(self.costs, name) + spent)
        self._counted = counts

    def _counts(self) -> dict[str, int]:
        return {name: self.agent.count(name) for name in _COUNTED}

    def state(self) -> dict[str, Any]:
        """All that decides how training goes on, what is remembered apart."""
        self._settle()
        return {
            "agent": self.agent.state(),
            "task": vars(self.task.snapshot()),
            "carry": self._carry,
            "costs": vars(self.costs),
            "said": self.said,
            "observation": self._observation,
            "start": self._start,
            "returns": self._returns,
            "env_steps": self.env_steps,
            "decisions": self.decisions,
            "logged": self.logged,
        }

    def memory(self) -> dict[str, Any]:
        """What is remembered: arrays and numbers."""
        return {
            f"{part}.{name}": value
            for part, source in self.sources.items()
            for name, value in source.state().items()
        }

    def load(self, state: dict[str, Any], memory: dict[str, Any] | None) -> None:
        """Become what `state` said; without a memory, with an empty one."""
        self.agent.load(state["agent"])
        self.task.restore(type(self.task.snapshot())(**state["task"]))
        self._carry, self.said = state["carry"], state["said"]
        self.costs += Costs(**state["costs"])
        self._observation, self._start = state["observation"], state["start"]
        self._returns = state["returns"]
        for name in ("env_steps", "decisions", "logged"):
            setattr(self, name, state[name])
        for part, source in self.sources.items():
            if memory is None:
                source.forget(self.decisions * self.task.num_envs)
                continue
            names = [name for name in memory if name.startswith(f"{part}.")]
            source.load({name.removeprefix(f"{part}."): memory[name] for name in names})
