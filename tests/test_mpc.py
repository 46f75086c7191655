"""MPC with sampling optimizers: on small models whose answers are known, and on the simulator."""

from types import SimpleNamespace

import numpy as np
import pytest
from worlds import (
    NOTHING,
    Slope,
    World,
    actions,
    barren,
    diverging,
    make,
    make_spec,
    play,
    pushes,
    rugged,
    stuck,
)

from planners.mpc import MPC, make_planner, newness
from planners.noise import Noise
from planners.sampling import SAMPLING
from suites.evaluate import Agent, evaluate
from suites.ledger import Meter
from suites.tasks import registry
from suites.tasks.control import suite_task
from world_models.simulator import Simulator

EXECUTES_BEST = ["predictive_sampling", "icem"]  # the others execute a mean, which is not scored


@pytest.mark.parametrize("optimizer", SAMPLING)
def test_seeds_and_threads(optimizer):
    """The same seed gives the same plans bit for bit on any number of threads; another does not."""

    def plans(threads, seed):
        task = suite_task("cheetah-run", num_envs=2)
        observation, _ = task.reset(seed=1)
        model = Simulator(task, threads)
        planner = make_planner(task.facts, optimizer, budget=160, horizon=0.08)
        carry, decided = planner.init(2), []
        for decision in range(4):
            state = model.begin(observation, task)
            noise = Noise(seed, [0, 1], decision)
            plan, carry = planner.plan(model, NOTHING, state, carry, noise)
            decided.append(plan.actions)
            observation = task.step(plan.action)[0]
        return np.array(decided)

    first = plans(1, 0)
    np.testing.assert_array_equal(first, plans(1, 0))
    np.testing.assert_array_equal(first, plans(2, 0))
    other = plans(1, 1)
    assert not (first == other).all(axis=(2, 3)).any()  # in no decision of no environment


@pytest.mark.parametrize("optimizer", SAMPLING)
@pytest.mark.parametrize("needed", [2, 7])
def test_environments_plan_as_each_alone(optimizer, needed):
    """Also where some of them see nothing, and search farther than the others."""
    state = np.array([[0.0], [6.0], [-5.0], [1.0], [-1.0]])
    episodes, world = [4, 0, 9, 2, 7], World(pushes(needed))
    planner = make(optimizer, reach=2)
    together = play(planner, world, state, 8, episodes)
    if needed == 7:
        assert world.selected > 0
        assert any(0 < plan.statistics["flat"] < 1 for plan in together)
    for b, episode in enumerate(episodes):
        alone = play(planner, World(pushes(needed)), state[b : b + 1], 8, [episode])
        np.testing.assert_array_equal(actions(together)[b], actions(alone)[0])
        np.testing.assert_array_equal(
            [plan.value[b] for plan in together], [plan.value[0] for plan in alone]
        )


@pytest.mark.parametrize("optimizer", SAMPLING)
@pytest.mark.parametrize("step", [rugged, barren, pushes(7)])
@pytest.mark.parametrize(("budget", "reach"), [(60, 1), (301, 1), (301, 3), (123, 2)])
def test_the_budget_is_kept(optimizer, step, budget, reach):
    """Per decision and environment: all of it but for what makes no whole candidate."""
    planner = make(optimizer, budget, reach=reach)
    for b in (1, 3):
        state, carry = np.zeros((b, 1)), planner.init(b)
        for decision in range(4):
            world = World(step)
            noise = Noise(0, range(b), decision)
            plan, carry = planner.plan(world, NOTHING, state, carry, noise)
            assert world.sim_steps == sum(plans[..., 0].size for plans in world.rolled)
            assert b * budget * 0.5 < world.sim_steps <= b * budget
            if step is rugged:
                assert world.sim_steps == b * (budget // 5) * 5
            state = world.step(state[:, None], plan.action[:, None])[0][:, 0]


def test_the_simulator_counts_what_is_planned():
    task = suite_task("reacher-easy")
    observation, _ = task.reset(seed=2)
    model = Simulator(task)
    planner = make_planner(task.facts, "icem", budget=210, horizon=0.1)
    assert isinstance(planner, MPC)
    plan, _ = planner.plan(
        model, NOTHING, model.begin(observation, task), planner.init(1), Noise(0, [0], 0)
    )
    assert model.sim_steps == 210 // planner.horizon * planner.horizon
    assert model.sim_frames == model.sim_steps * task.facts.frames_per_step
    assert plan.actions.shape == (1, planner.horizon, 2)


def riccati(A, B, Q, R, horizon):
    P = np.zeros_like(A)
    for _ in range(horizon):
        S = Q + P
        K = np.linalg.solve(R + B.T @ S @ B, B.T @ S @ A)
        P = A.T @ S @ (A - B @ K)
    return P


@pytest.mark.parametrize(
    ("optimizer", "regret"),
    [("cem", 0.01), ("icem", 0.01), ("mppi", 0.05), ("predictive_sampling", 0.5)],
)
def test_optimizers_on_a_linear_quadratic_problem(optimizer, regret):
    """`regret` is what is left to the Riccati solution, in parts of what the nominal leaves."""
    rng = np.random.default_rng(0)
    A, B = np.eye(3) + 0.2 * rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    L = rng.normal(size=(3, 3))
    Q, R, horizon = L @ L.T, np.diag([0.5, 1.0]), 4

    def step(x, u):
        x = x @ A.T + u @ B.T
        return x, -(np.einsum("...i,ij,...j", x, Q, x) + np.einsum("...i,ij,...j", u, R, u)) / 2

    world, x = World(step), 2 * rng.normal(size=(4, 3))
    P = riccati(A, B, Q, R, horizon)
    optimum = -np.einsum("bi,ij,bj->b", x, P, x) / 2
    planner = make(
        optimizer, 20000 * horizon, 0.4, actuators=2, bound=np.inf, iterations=20, beta=0.0
    )
    plan, _ = planner.plan(world, NOTHING, x, planner.init(4), Noise(0, range(4), 0))
    nominal = world.value_of(x, np.zeros((4, horizon, 2)))
    reached = world.value_of(x, plan.actions)
    assert (reached <= optimum).all()
    assert (optimum - reached <= regret * (optimum - nominal)).all()
    assert (plan.value <= optimum).all()


@pytest.mark.parametrize("optimizer", SAMPLING)
def test_the_nominal_is_always_a_candidate(optimizer):
    """So no plan is worth less than what was left of the last one."""
    world, planner = World(rugged), make(optimizer, budget=150, reach=1)
    state = np.random.default_rng(0).normal(size=(4, 3))
    carry = planner.init(4)
    for decision in range(12):
        nominal = carry.nominal[:, : planner.horizon]
        world.rolled.clear()
        plan, carry = planner.plan(world, NOTHING, state, carry, Noise(0, range(4), decision))
        np.testing.assert_array_equal(world.rolled[0][:, 0], nominal)
        assert (plan.value >= world.value_of(state, nominal) - 1e-9).all()
        if optimizer in EXECUTES_BEST:
            np.testing.assert_allclose(world.value_of(state, plan.actions), plan.value, rtol=1e-12)
        np.testing.assert_array_equal(plan.action, plan.actions[:, 0])
        np.testing.assert_array_equal(carry.nominal[:, :-1], plan.actions[:, 1:])
        np.testing.assert_array_equal(carry.nominal[:, -1], plan.actions[:, -1])  # held
        state = world.step(state[:, None], plan.action[:, None])[0][:, 0]


def test_elites_are_candidates_again():
    world, state = World(rugged), np.zeros((1, 3))
    planner = make("icem", keep=2)
    _, carry = planner.plan(world, NOTHING, state, planner.init(1), Noise(0, [0], 0))
    last = world.rolled[-1]
    scores = World(rugged).rollout(state, last)[0].sum(axis=-1)
    two = last[0, np.argsort(-scores[0])[:2]]
    later = np.concatenate([two[:, 1:], two[:, -1:]], axis=1)  # a step later, the end is held
    np.testing.assert_array_equal(carry.elites, later[None])
    world.rolled.clear()
    planner.plan(world, NOTHING, state, carry, Noise(0, [0], 1))
    np.testing.assert_array_equal(world.rolled[0][:, 1:3], carry.elites)
    scores = World(rugged).rollout(state, world.rolled[0])[0].sum(axis=-1)
    two = world.rolled[0][0, np.argsort(-scores[0])[:2]]
    np.testing.assert_array_equal(world.rolled[1][0, 1:3], two)


@pytest.mark.parametrize("optimizer", SAMPLING)
def test_candidates_that_diverge_rank_last(optimizer):
    def cliff(x, u):  # the more the better, but above 0.3 the model diverges
        over = u[..., 0] > 0.3
        return x, np.where(over, np.nan, u[..., 0])

    world, state = World(cliff), np.zeros((2, 1))
    plan = play(make(optimizer, horizon=0.2), world, state, 1)[0]
    diverged = (world.rolled[0][..., 0] > 0.3).any(axis=-1)
    assert 0 < diverged.mean() < 1
    assert np.isfinite(plan.value).all()
    assert (plan.value > 0).all()
    assert (plan.actions[..., 0] <= 0.3).all()


@pytest.mark.parametrize("optimizer", SAMPLING)
@pytest.mark.parametrize("reach", [1, 2])
def test_a_model_that_always_diverges_keeps_the_nominal(optimizer, reach):
    planner = make(optimizer, reach=reach)
    state = np.zeros((2, 1))
    _, carry = planner.plan(World(rugged), NOTHING, state, planner.init(2), Noise(0, [0, 1], 0))
    nominal = carry.nominal[:, : planner.horizon].copy()
    assert np.abs(nominal).max() > 0
    plan, _ = planner.plan(World(diverging), NOTHING, state, carry, Noise(0, [0, 1], 1))
    np.testing.assert_allclose(plan.actions, nominal, rtol=1e-12)
    assert (plan.value == -np.inf).all()


@pytest.mark.parametrize("discount", [1.0, 0.5])
@pytest.mark.parametrize("continuation", [1.0, 0.0])
@pytest.mark.parametrize("slope", [1.0, -0.6])
def test_the_terminal_value_and_the_discount(discount, continuation, slope):
    """Reward -u^2, then value v (x + u0 + u1): with discount d, u0 = d^2 v / 2, u1 = d v / 2."""

    def step(x, u):
        return x + u, -(u[..., 0] ** 2)

    planner = make(
        "cem", 8000, 0.2, 1, discount=discount, iterations=10, beta=0.0, sigma=0.5, reach=1
    )
    world, state = World(step, continuation), np.array([[0.3], [-2.0]])
    plan = play(planner, world, state, 1, prior=Slope(slope))[0]
    expected = continuation * slope / 2 * np.array([discount**2, discount])
    np.testing.assert_allclose(plan.actions[..., 0], np.tile(expected, (2, 1)), atol=0.02)
    value = -(expected**2) @ [1, discount]
    value += continuation * discount**2 * slope * (state[:, 0] + expected.sum())
    np.testing.assert_allclose(plan.value, value, atol=2e-3)


@pytest.mark.parametrize("optimizer", SAMPLING)
def test_a_far_search_finds_what_lies_beyond_the_horizon(optimizer):
    """Eight equal pushes pay, and a plan has five."""
    state = np.zeros((6, 1))
    near, far = (
        play(make(optimizer, 6000, reach=reach, beta=2.0), World(pushes(8)), state, 1)[0]
        for reach in (1, 2)
    )
    assert near.statistics["flat"] == far.statistics["flat"] == 1.0
    assert (near.value == 0).all()
    assert (far.value > 0).all()
    if optimizer in EXECUTES_BEST:
        pushed = far.actions[..., 0]
        assert (np.abs(pushed) > 0.5).sum() > 0.8 * pushed.size
        # The steps that follow go on with it, until the reward comes. (A mean of pushes to both
        # sides, which the other optimizers may execute, is none.)
        x, world = state, World(pushes(8))
        for plan in play(make(optimizer, 6000, reach=2), world, state, 12):
            x = world.step(x[:, None], plan.action[:, None])[0][:, 0]
        assert (np.abs(x) >= 8).all()


def test_far_samples_are_bold():
    world = World(barren)
    play(make("icem", 1500, reach=3), world, np.zeros((2, 1)), 1)
    near, *far = world.rolled
    assert near.shape[2] == 5
    assert all(plans.shape[2] == 15 for plans in far)

    def at_bounds(plans):
        return (np.abs(plans) == 1).mean()

    assert at_bounds(far[0]) > 0.6 > 0.4 > at_bounds(near)


@pytest.mark.parametrize("optimizer", EXECUTES_BEST)
def test_a_lost_planner_goes_where_it_has_not_been(optimizer):
    """Nothing pays, on an axis: on and on to the side that was begun with."""
    world, x, where = World(barren), np.zeros((2, 1)), []
    planner = make(optimizer, 3000, reach=2)
    carry = planner.init(2)
    for decision in range(20):
        plan, carry = planner.plan(world, NOTHING, x, carry, Noise(0, [0, 1], decision))
        assert plan.statistics["flat"] == 1
        assert (plan.value == 0).all()
        x = x + 0.1 * plan.action[:, :1]
        where.append(x[:, 0])
    assert (np.abs(x) > 1.8).all()  # of 2
    plan = play(make(optimizer, 3000, reach=2), World(stuck), np.zeros((2, 1)), 2)[-1]
    assert (plan.actions == 0).all()  # the nominal: nothing leads anywhere


@pytest.mark.parametrize("optimizer", SAMPLING)
def test_what_pays_is_worth_more_than_what_is_new(optimizer):
    """A far candidate that finds a reward wins, however far the others go."""
    state = np.zeros((6, 1))
    (plan,) = play(make(optimizer, 6000, reach=2, beta=2.0), World(pushes(8)), state, 1)
    assert plan.statistics["flat"] == 1
    assert (plan.value > 0).all()


def test_newness_is_the_distance_from_what_was_seen():
    random = np.random.default_rng(0)
    way, seen = random.normal(size=(2, 3, 4, 2)), random.normal(size=(2, 5, 2))
    way[1, ..., 0] *= 100  # another unit
    constant = np.full((2, 3, 4, 1), 0.1), np.full((2, 5, 1), 0.1)  # deviates by rounding
    more = (np.append(a, b, axis=-1) for a, b in zip((way, seen), constant, strict=True))
    same = newness(*more)
    np.testing.assert_allclose(same, newness(way, seen))
    for b, found in enumerate(newness(way, seen)):
        spread = np.concatenate([way[b].reshape(-1, 2), seen[b]]).std(axis=0)
        for k in range(3):
            apart = [
                np.linalg.norm((place - seen[b]) / spread, axis=1).min() for place in way[b, k]
            ]
            assert found[k] == pytest.approx(sum(apart))


@pytest.mark.parametrize("name", ["cheetah-run", "cartpole-balance"])
def test_a_trace_is_a_rollout_with_its_features(name):
    task = suite_task(name, num_envs=2)
    observation, _ = task.reset(seed=0)
    model, other = Simulator(task), Simulator(task)
    state = model.begin(observation, task)
    size = task.facts.action_space.shape[0]
    plans = np.random.default_rng(0).uniform(-1, 1, (2, 3, 40, size))
    rewards, continuation, last, features = model.trace(state, plans, 15)
    whole = other.rollout(state, plans)
    np.testing.assert_array_equal(rewards, whole[0])
    np.testing.assert_array_equal(continuation, whole[1])
    np.testing.assert_array_equal(last, whole[2])
    assert model.sim_steps == other.sim_steps
    assert features.shape[2] == 4
    for k, steps in enumerate([0, 15, 30, 40]):
        there = np.repeat(state[:, None], 3, axis=1)
        if steps:
            there = other.rollout(state, plans[:, :, :steps])[2]
        np.testing.assert_array_equal(features[:, :, k], other.features(there))


def test_nothing_is_paid_after_the_end_of_a_trace():
    task = registry.make("toy-chain", num_envs=2)
    observation, _ = task.reset(seed=0)
    model = Simulator(task)
    state = model.begin(observation, task)
    plans = (np.random.default_rng(0).random((2, 50, 20)) < 0.8).astype(int)
    whole = model.rollout(state, plans)
    assert 0.2 < (whole[1][..., -1] == 0).mean() < 1  # the goal ends the episode
    for found, expected in zip(model.trace(state, plans, 3)[:2], whole[:2], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("latency", "every", "late"),
    [(0.0, 1, False), (0.05, 1, True), (0.1, 1, True), (0.25, 3, True), (0.3, 3, True)],
)
def test_plans_are_made_as_often_as_they_get_ready(latency, every, late):
    planner = make("icem", latency=latency)
    assert (planner.plan_every, planner.late) == (every, late)


@pytest.mark.parametrize("optimizer", SAMPLING)
def test_late_plans_are_executed_from_where_they_are_ready(optimizer):
    class Task:
        facts = SimpleNamespace(
            name="rugged", action_space=make_spec().action_space, frames_per_step=1
        )

        def reset(self, seed):
            self.x, self.executed = np.zeros((1, 3)), []
            return self.x, {}

        def step(self, action):
            self.executed.append(action[0])
            x, reward = rugged(self.x[:, None], action[:, None])
            self.x = x[:, 0]
            ended = np.array([len(self.executed) == 11])
            return self.x, reward[:, 0], np.array([False]), ended, {}

    class Witness(MPC):
        def plan(self, model, prior, state, carry, noise):
            plan, carry = super().plan(model, prior, state, carry, noise)
            plans.append(plan.actions[0])
            return plan, carry

    plans: list[np.ndarray] = []
    world, task, meter = World(rugged), Task(), Meter()
    meter.lap()
    planner = Witness(make_spec(), optimizer, 300, 0.5, latency=0.2)
    list(evaluate(Agent(planner, world, NOTHING).greedy, task, 0, 0, [0], meter))
    assert len(plans) == 6
    for t, action in enumerate(task.executed):
        expected = np.zeros(3) if t < 2 else plans[t // 2 - 1][2 + t % 2]
        np.testing.assert_array_equal(action, expected)
    begins = world.rolled[:: len(planner.populations)]
    for plan, begin in zip(plans, begins[1:], strict=False):  # the warm start is two steps later
        np.testing.assert_array_equal(begin[0, 0, :3], plan[2:])
    # What is executed until a plan is ready is no longer its choice.
    for first, plan in zip([np.zeros((4, 3)), *plans], plans, strict=False):
        np.testing.assert_allclose(plan[:2], first[2:4], atol=1e-12)  # a mean of equals rounds
    for candidates in world.rolled:
        assert (candidates[:, :, :2] == candidates[:, :1, :2]).all()
