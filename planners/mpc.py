"""Model-predictive control: optimise a plan over a horizon, execute its beginning, repeat."""

import copy
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy as np

from planners.categorical import CATEGORICAL, DiscreteMPC
from planners.horizon import (
    Carry,
    Latency,
    RecedingHorizon,
    Seconds,
    choose,
    move_on,
    split_budget,
)
from planners.ilqg import ILQG
from planners.interface import Plan, Planner, Prior, State, TraceModel
from planners.noise import Noise
from planners.sampling import SAMPLING, Found, Gaussian, begin, is_flat, make_optimizer
from planners.splines import KINDS, weights
from suites.parameters import Count, Discount, OneOf, checked

BOLD = 3.0  # deviations of bold samples, in those of the others
PIECE = 0.1  # seconds, after each of which a place on the way is looked at
MEMORY = 1000  # decisions
FEW = 2  # actuators, up to which breadth serves better than refinement


@dataclass
class Explorer(Carry):
    """A warm start that knows where the episode has been.

    Attributes:
      seen: Features [B, M, F] of the states of the last decisions, NaN where those were of another
        episode; None before the first, and where they are not needed.
    """

    seen: np.ndarray | None = None

    def restarted(self, fresh: Any, begun: np.ndarray) -> Self:
        """The same; where an episode begins, nothing was seen: NaN."""
        carry = super().restarted(fresh, begun)
        if carry.seen is not None:
            carry.seen = choose(begun, np.full_like(carry.seen, np.nan), carry.seen)
        return carry


@dataclass
class Search:
    """An optimisation under way, over T control steps: the horizon or the whole reach.

    Attributes:
      gaussian: What samples are drawn from.
      found: The best candidates.
      guides: Plans [B, G, T, A] of the prior's policy, candidates in each iteration.
      seen: Of a far search, which looks over the whole reach: see `Explorer`.
    """

    gaussian: Gaussian
    found: Found
    guides: np.ndarray
    seen: np.ndarray | None = None

    def rows(self, which: np.ndarray) -> "Search":
        """The search in some of the environments."""
        gaussian = replace(
            self.gaussian, mean=self.gaussian.mean[which], std=self.gaussian.std[which]
        )
        found = Found(*(part[which] for part in vars(self.found).values()))
        return Search(gaussian, found, self.guides[which])


class MPC(RecedingHorizon):
    """Receding-horizon control with a sampling optimizer.

    The first iteration looks one horizon ahead. Where all of its candidates score the same (a
    sparse reward, out of sight), the other iterations look `reach` horizons ahead with bold
    samples: slow, and so wide that the bounds of the action cut them to bang-bang. Where that is
    flat too, candidates are ranked by how new their ways are, instead of by their reward: far from
    what this episode has seen. A model without `trace` is not asked for this: a learned one.

    With up to two actuators the noise spreads from white, and the optimizer takes half of its usual
    iterations, which leaves more candidates to each; with more, where a burst of white noise does
    little in concert, from pink.

    Arguments:
      optimizer: One of `predictive_sampling`, `cem`, `icem`, `mppi`, `elite_mppi`.
      budget: Simulated control steps per decision and environment, at most.
      reach: Horizons that a search looks ahead where the landscape is flat; None: 2.
      knots: Knots per horizon of the splines that are added to the nominal; None: one a step.
      spline: `zero`, `linear` or `cubic`; None: linear.
      options: Parameters of the optimizer.
      The rest as in `RecedingHorizon`.

    Raises:
      ValueError: for a task whose actions are not continuous, and for bad parameters.
    """

    @checked("planner")
    def __init__(
        self,
        spec: Any,
        optimizer: str,
        budget: Count,
        horizon: Seconds,
        single: Seconds | None = None,
        min_steps: Count = 1,
        max_steps: Count = 1000,
        reach: Count | None = None,
        knots: Count | None = None,
        spline: Annotated[str, OneOf(KINDS)] | None = None,
        discount: Discount | None = 1.0,
        latency: Latency = 0.0,
        **options: Any,
    ):
        super().__init__(spec, optimizer, horizon, single, min_steps, max_steps, discount, latency)
        spline = "linear" if spline is None else spline
        few = spec.action_space.shape[0] <= FEW
        self.optimizer = make_optimizer(optimizer, options, SAMPLING)
        self.explores = self.optimizer.explores
        if few and options.get("iterations") is None:
            iterations = self.optimizer.iterations // 2
            self.optimizer = replace(self.optimizer, iterations=iterations)
        self.whitest = 0.0 if few else min(1.0, self.optimizer.beta)
        self.populations = split_budget(budget, self.horizon, self.optimizer.iterations)
        reach = min(reach or 2, min(self.populations) // 2)  # two far candidates at the least
        self.keep = min(self.optimizer.keep, min(self.populations) // reach)
        knots = min(knots or self.horizon, self.horizon)
        self.reach, self.far = reach, reach * self.horizon
        self.piece = max(1, round(PIECE / spec.control_dt))
        self.splines = {
            steps: weights(steps, knots * steps // self.horizon, spline)
            for steps in (self.horizon, self.far)
        }

    @property
    def greedy(self) -> "MPC":
        """The same without exploration."""
        planner = copy.copy(self)
        planner.explores = False
        return planner

    def init(self, batch: int) -> Explorer:
        nominal = np.tile(self.middle, (batch, self.far, 1))
        return Explorer(nominal, nominal[:, None, : self.horizon][:, :0], np.zeros(batch, int))

    def plan(
        self, model: TraceModel, prior: Prior, state: State, carry: Explorer, noise: Noise
    ) -> tuple[Plan, Explorer]:
        """Decide in `state` ([B] environments). The nominal is the first candidate throughout."""
        batch, horizon = len(carry.nominal), self.horizon
        seen = self._seen(model, state, carry)
        guides = self._guides(model, prior, state, noise)
        near = self._begin(carry.nominal[:, :horizon], carry.elites, guides)
        self._iterate(near, model, prior, state, noise, self.populations[0])
        lost = near.found.flat & (seen is not None)
        nominal, planned = carry.nominal.copy(), np.maximum(carry.planned, horizon)
        score, deviation = np.empty(batch), np.empty((batch, nominal.shape[-1]))
        elites = np.empty((batch, self.keep, horizon, nominal.shape[-1]))
        for flat in (False, True):
            which = np.flatnonzero(lost == flat)
            if not which.size:
                continue
            search = near.rows(which)
            if flat and seen is not None and self.populations[1:]:
                far = carry.nominal[which]
                nothing = far[:, None][:, :0]
                search = self._begin(far, nothing, nothing, seen[which])
            for population in self.populations[1:]:
                self._iterate(
                    search,
                    model,
                    prior,
                    state if which.size == batch else model.select(state, which),
                    noise.rows(which),
                    population // self.reach if flat else population,
                )
            found = search.found
            best = found.best if self.optimizer.executes == "best" else search.gaussian.mean
            held = planned[which] <= horizon
            length = best.shape[1]
            tail = np.where(held[:, None, None], best[:, -1:], nominal[which, length:])
            planned[which] = np.maximum(planned[which], length)
            nominal[which] = np.concatenate([best, tail], axis=1)
            score[which] = np.where(found.flat, near.found.score[which], found.score)
            elites[which] = found.pool[:, : self.keep, :horizon]
            deviation[which] = search.gaussian.std[:, 0]
        flat = float(np.mean(near.found.flat))
        actions = nominal[:, :horizon].copy()
        if self.explores:
            drawn = actions[:, 0] + deviation * noise.normal(actions.shape[-1])
            actions[:, 0] = np.clip(drawn, self.low, self.high)
        plan = Plan(actions[:, 0], actions, score, {"flat": flat})
        steps = self.plan_every
        nominal, elites = move_on(nominal, steps, axis=-2), move_on(elites, steps, axis=-2)
        seen = None if seen is None else seen[:, -MEMORY:]
        return plan, Explorer(nominal, elites, planned - steps, seen)

    def _seen(self, model: TraceModel, state: State, carry: Explorer) -> np.ndarray | None:
        """Features [B, M, F] of the states of the last decisions and of this one."""
        if not hasattr(model, "trace"):
            return None
        here = model.features(state)[:, None]
        if carry.seen is None:
            return here
        before = np.where(np.isnan(carry.seen), here, carry.seen)
        return np.concatenate([before, here], axis=1)

    def _guides(self, model: Any, prior: Prior, state: State, noise: Noise) -> np.ndarray:
        """Plans [B, G, H, A] of the prior's policy, which acts in what the model predicts."""
        count, size = self.optimizer.guides, len(self.middle)
        plans = np.empty((noise.batch * count, self.horizon, size))
        if count:
            which = np.repeat(np.arange(noise.batch), count)
            rows, streams = model.select(state, which), noise.rows(which)
            for h in range(self.horizon):
                plans[:, h] = prior.sample(model.features(rows), streams)
                if h < self.horizon - 1:
                    rows = model.step(rows, plans[:, h])[0]
        return plans.reshape(noise.batch, count, self.horizon, size)

    def _begin(
        self,
        nominal: np.ndarray,
        elites: np.ndarray,
        guides: np.ndarray,
        seen: np.ndarray | None = None,
    ) -> Search:
        far = seen is not None
        sigma = self.optimizer.sigma * (BOLD if far else 1.0)
        std = np.broadcast_to(sigma * self.half_range, nominal.shape)
        whitest = self.optimizer.beta if far else self.whitest
        gaussian = Gaussian(nominal, std, whitest, self.half_range)
        return Search(gaussian, begin(nominal, elites), guides, seen)

    def _iterate(
        self,
        search: Search,
        model: TraceModel,
        prior: Prior,
        state: State,
        noise: Noise,
        population: int,
    ) -> None:
        """Sample `population` candidates, score them, refit."""
        optimizer, gaussian = self.optimizer, search.gaussian
        best = search.found.pool[:, : self.keep]
        known = np.concatenate([gaussian.mean[:, None], search.guides, best], axis=1)
        known = known[:, : population - 1]
        spline = self.splines[gaussian.mean.shape[1]]
        fresh = optimizer.sample(gaussian, noise, population - known.shape[1], spline)
        candidates = np.clip(np.concatenate([known, fresh], axis=1), self.low, self.high)
        candidates[:, :, : self.committed] = search.found.best[:, None, : self.committed]
        found = search.found
        if search.seen is None:
            scores = self.returns(model, prior, *model.rollout(state, candidates))
            flat = is_flat(scores)
        else:
            *rolled, way = model.trace(state, candidates, self.piece)
            scores = self.returns(model, prior, *rolled)
            flat = is_flat(scores)
            lost = found.flat & flat
            found.score = np.where(found.flat & ~flat, -np.inf, found.score)  # was newness
            scores = np.where(lost[:, None], newness(way, search.seen), scores)
        search.gaussian = optimizer.refit(gaussian, candidates, scores)
        found.note(candidates, scores, self.keep, flat)


def newness(way: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """How new the ways of candidates are [B, N]: of ways [B, N, P, F] and what was seen [B, M, F].

    The distances of a way's places from the nearest place that was seen, summed up; each feature in
    its standard deviation over all of these.
    """
    batch, candidates, places, size = way.shape
    every = np.concatenate([way.reshape(batch, -1, size), seen], axis=1)
    spread = every.std(axis=1, keepdims=True)
    rounding = 1e-9 * np.abs(every).max(axis=1, keepdims=True)
    every = (every - every.mean(axis=1, keepdims=True)) / np.where(spread > rounding, spread, 1.0)
    way, seen = np.split(every, [candidates * places], axis=1)
    squares = (way**2).sum(axis=-1)[:, :, None] + (seen**2).sum(axis=-1)[:, None]
    squares -= 2 * way @ seen.swapaxes(1, 2)
    nearest = np.sqrt(np.maximum(squares.min(axis=-1), 0.0))
    return nearest.reshape(batch, candidates, places).sum(axis=-1)


@checked("planner")
def make_planner(
    spec: Any, optimizer: Annotated[str, OneOf(sorted([*SAMPLING, "ilqg"]))], **options: Any
) -> Planner:
    """The planner of `planner=mpc`: `MPC` with a sampling optimizer, `DiscreteMPC`, or `ILQG`."""
    if optimizer in CATEGORICAL and not hasattr(spec.action_space, "low"):
        return DiscreteMPC(spec, optimizer, **options)
    if optimizer == "ilqg":
        return ILQG(spec, **options)
    return MPC(spec, optimizer, **options)
