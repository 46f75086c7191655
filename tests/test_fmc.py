"""Fractal Monte Carlo: its parts by numbers worked out by hand, its loop, and what it finds."""

import math
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from chances import Tables, corridor, make_spec, random_tables

from learners.none import NoLearner
from planners import fmc
from planners.fmc import FMC
from planners.noise import Noise
from planners.searches import OPTIONS

NOTHING = NoLearner(SimpleNamespace(action_space=gymnasium.spaces.Discrete(3)))


def decide(planner, world, states, episodes=None, seed=0, decision=0):
    state = np.array(states, float)[:, None]
    noise = Noise(seed, range(len(state)) if episodes is None else episodes, decision)
    return planner.plan(world, NOTHING, state, planner.init(len(state)), noise)[0]


def test_relativise():
    values = np.array([[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]])  # mean 5, deviation 2
    z = [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2]
    expected = [np.exp(x) if x <= 0 else 1 + np.log(1 + x) for x in z]
    np.testing.assert_allclose(fmc.relativise(values)[0], expected, rtol=1e-12)
    np.testing.assert_allclose(fmc.relativise(1000 * values - 7)[0], expected, rtol=1e-12)
    np.testing.assert_array_equal(fmc.relativise(np.full((1, 3), 4.0)), np.ones((1, 3)))
    two = fmc.relativise(np.array([[1.0, 3.0, np.nan, -np.inf]]))[0]
    np.testing.assert_allclose(two, [np.exp(-1), 1 + np.log(2), 0, 0], rtol=1e-12)


def test_virtual_reward():
    rewards, distances = np.array([[0.0, 2.0]]), np.array([[5.0, 3.0]])
    low, high = np.exp(-1), 1 + np.log(2)
    np.testing.assert_allclose(
        fmc.virtual_reward(rewards, distances, 1.0), [[high * low, low * high]]
    )
    np.testing.assert_allclose(fmc.virtual_reward(rewards, distances, 0.0), [[high, low]])
    np.testing.assert_allclose(
        fmc.virtual_reward(rewards, distances, 2.0), [[high * low**2, low * high**2]]
    )


def test_distances_are_euclidean():
    features = np.array([[[0, 0], [3, 4], [255, 0]]], np.uint8)  # bytes do not wrap
    np.testing.assert_allclose(
        fmc.distance(features, np.array([[1, 2, 2]])), [[5, np.sqrt(252**2 + 16), 0]]
    )


def test_cloning():
    virtual = np.array([[2.0, 3.0, 10.0, 0.0, 4.0]])
    alive = np.array([[True, True, True, True, False]])
    cases = {
        (1, 0, 0, 0, 0): (0.5, 0, 0, 1, 1),  # gains in parts; none; 1 from nothing, and if dead
        (2, 2, 1, 1, 1): (1, 1, 0, 1, 1),  # cut at 1
        (4, 4, 4, 4, 4): (0, 0, 0, 0, 0),  # nobody becomes a dead one
        (0, 1, 2, 0, 0): (0, 0, 0, 1, 1),  # itself
    }
    for companion, chances in cases.items():
        found = fmc.cloning(virtual, alive, np.array([companion]))
        np.testing.assert_allclose(found, [chances])


def test_companions_are_alive():
    alive = np.array([[True, False, True, False], [False] * 4])
    drawn = np.stack([fmc.companions(Noise(0, [0, 1], d), alive) for d in range(200)])
    assert set(drawn[:, 0].ravel()) == {0, 2}
    assert set(drawn[:, 1].ravel()) == {0, 1, 2, 3}


class Walker:
    def __init__(self, state):
        self.state, self.path, self.rewards, self.alive = state, [], 0.0, True


def relative(values):
    """`relativize` of the book, of values that may not be finite."""
    finite = [v for v in values if math.isfinite(v)]
    mean = sum(finite) / max(len(finite), 1)
    spread = math.sqrt(sum((v - mean) ** 2 for v in finite) / max(len(finite), 1))

    def one(value):
        if not math.isfinite(value):
            return 0.0
        z = (value - mean) / spread if spread > 0 else 0.0
        return 1 + math.log(1 + z) if z > 0 else math.exp(z)

    return [one(value) for value in values]


def reference(world, noise, root, ticks, walkers, balance, has_lives):
    """The walkers in the end, and the states and actions of each tick: a loop over walkers."""
    swarm, stepped = [Walker(root) for _ in range(walkers)], []

    def draw():
        among = [i for i, walker in enumerate(swarm) if walker.alive] or list(range(walkers))
        return [among[int(lot * len(among))] for lot in noise.uniform(walkers)[0]]

    for _ in range(ticks):
        lots = noise.uniform(walkers)[0]
        if not all(walker.alive for walker in swarm):
            break
        stepped.append([(walker.state, int(3 * lots[i])) for i, walker in enumerate(swarm)])
        for i, walker in enumerate(swarm):
            before, action = stepped[-1][i]
            walker.state = world.after[before, action]
            walker.path.append(action)
            walker.rewards += world.rewards[before, action]
            walker.alive = not world.ends[walker.state] and math.isfinite(walker.rewards)
            if has_lives and world.lives[walker.state] < world.lives[before]:
                walker.alive = False
        place = [world.bytes[walker.state].astype(float) for walker in swarm]
        distances = relative([math.dist(place[i], place[j]) for i, j in enumerate(draw())])
        scores = relative([walker.rewards for walker in swarm])
        virtual = [distances[i] * scores[i] ** balance for i in range(walkers)]
        companions, lots, copies = draw(), noise.uniform(walkers)[0], []
        for i, j in enumerate(companions):
            surely = not swarm[i].alive or virtual[i] == 0
            clones = swarm[j].alive and (surely or lots[i] < (virtual[j] - virtual[i]) / virtual[i])
            copy, source = Walker(None), swarm[j if clones else i]
            copy.state, copy.path = source.state, list(source.path)
            copy.rewards, copy.alive = source.rewards, source.alive
            copies.append(copy)
        swarm = copies
    return swarm, stepped


@pytest.mark.parametrize("has_lives", [False, True])
@pytest.mark.parametrize("balance", [0.0, 1.0, 1.7])
@pytest.mark.parametrize("seed", range(4))
def test_the_loop_is_that_of_the_book(seed, balance, has_lives):
    """Decisions, paths, rewards and the states of every tick, in a batch."""
    world, walkers, ticks, roots = random_tables(seed), 9, 7, [0, 1, 2]
    roots = [root for root in roots if not world.ends[root]]
    world.lives = np.random.default_rng(seed).integers(3, 5, len(world.ends)).astype(np.uint8)
    world.rewards[5:8, 1] = np.nan
    planner = FMC(make_spec(has_lives=has_lives), walkers * ticks, walkers=walkers, balance=balance)
    state = np.array(roots, float)[:, None]
    for decision in range(4):
        world.stepped.clear()
        noise = Noise(seed, range(len(roots)), decision)
        plan, found = planner.plan(world, NOTHING, state, None, noise)
        steps: list[list] = [[] for _ in range(ticks)]
        for b, root in enumerate(roots):
            alone = Noise(seed, [b], decision)
            swarm, stepped = reference(world, alone, root, ticks, walkers, balance, has_lives)
            for tick, pairs in enumerate(stepped):
                steps[tick] += pairs
            for w, walker in enumerate(swarm):
                path = walker.path + [-1] * (ticks - len(walker.path))
                assert found.actions[b, w].tolist() == path
            rewards = [walker.rewards for walker in swarm]
            np.testing.assert_allclose(found.rewards[b], rewards, rtol=1e-12)
            first = [walker.path[0] for walker in swarm]
            assert plan.action[b] == max(range(3), key=lambda a: (first.count(a), -a))
            value = max((r for r in rewards if math.isfinite(r)), default=-math.inf)
            np.testing.assert_allclose(plan.value[b], value, rtol=1e-12)
        told = [list(zip(s, a, strict=True)) for s, a in world.stepped]
        assert told == [pairs for pairs in steps if pairs]


def test_the_first_ticks_by_hand():
    """Two walkers, one tick: who earns less becomes the other, and so does its decision."""
    after = np.array([[1, 2], [1, 1], [2, 2]])
    rewards = np.array([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    world = Tables(after, rewards, np.zeros(3, bool), np.array([[0], [10], [20]], np.uint8))
    planner = FMC(make_spec(2), 2, walkers=2)
    unlike = cloned = 0
    for decision in range(60):
        plan = decide(planner, world, [0], decision=decision)
        first = world.stepped[-1][1]
        if len(set(first)) == 1:
            assert plan.action[0] == first[0]
            continue
        unlike += 1
        # Both see the same distance or 0 (themselves); the better one is never worse off.
        cloned += plan.statistics["majority"] == 1
        assert plan.action[0] == 1 or plan.statistics["majority"] == 0.5 or plan.value[0] == 0
    assert unlike > 15
    assert cloned > 0


def maze():
    """A field of 7 x 7 with a wall; a reward that is paid on and on, in the far corner."""
    wide = 7
    free = np.ones((wide, wide), bool)
    free[2:, 3] = False
    after, rewards = np.zeros((wide * wide, 4), int), np.zeros((wide * wide, 4))
    cells = np.array([(y, x) for y in range(wide) for x in range(wide)])
    for s, (y, x) in enumerate(cells):
        for a, (dy, dx) in enumerate([(0, 1), (1, 0), (0, -1), (-1, 0)]):
            v, u = np.clip([y + dy, x + dx], 0, wide - 1)
            v, u = (v, u) if free[v, u] else (y, x)
            after[s, a] = v * wide + u
            rewards[s, a] = float((v, u) == (6, 6))
    return Tables(after, rewards, np.zeros(wide * wide, bool), cells.astype(np.uint8))


def test_the_reward_in_a_maze_is_found():
    """Walkers are as long under way as 24 steps; the shortest way takes 18."""
    world, planner, state = maze(), FMC(make_spec(4), 200 * 24, walkers=200), 6 * 7.0
    paid = 0.0
    for decision in range(60):
        action = decide(planner, world, [state], decision=decision).action[0]
        paid += world.rewards[int(state), action]
        state = float(world.after[int(state), action])
    assert paid > 10


def test_walkers_leave_what_is_deadly():
    """One action of two is death at once: nobody who took it is left to count."""
    after = np.array([[1, 0], [1, 1]])
    world = Tables(after, np.zeros((2, 2)), np.array([False, True]), np.eye(2, dtype=np.uint8))
    for decision in range(10):
        plan = decide(FMC(make_spec(2), 100, walkers=10), world, [0], decision=decision)
        assert plan.action[0] == 1
        assert plan.statistics["majority"] == 1


def test_walkers_leave_what_diverges():
    after = np.array([[1, 2], [1, 1], [2, 2]])
    rewards = np.array([[np.nan, 0.0], [0.0, 0.0], [0.0, 0.0]])
    world = Tables(after, rewards, np.zeros(3, bool), np.eye(3, dtype=np.uint8))
    for decision in range(10):
        plan = decide(FMC(make_spec(2), 10, walkers=10), world, [0], decision=decision)
        assert plan.action[0] == 1
        assert plan.statistics["majority"] == 1
        assert plan.value[0] == 0


def test_a_lost_life_is_death():
    """Though it pays."""
    after = np.array([[1, 2], [1, 1], [2, 2]])
    rewards = np.array([[5.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    world = Tables(after, rewards, np.zeros(3, bool), np.zeros((3, 1), np.uint8))
    world.lives = np.array([3, 2, 4], np.uint8)
    for has_lives, action in [(True, 1), (False, 0)]:
        planner = FMC(make_spec(2, has_lives=has_lives), 200, walkers=10)
        for decision in range(10):
            plan = decide(planner, world, [0], decision=decision)
            assert plan.action[0] == action
            assert plan.statistics["majority"] == 1


def test_nobody_goes_on_where_all_are_dead():
    ends = np.array([False, True, False])
    after, rewards = np.array([[1, 1], [1, 1], [2, 2]]), np.ones((3, 2))
    world = Tables(after, rewards, ends, np.eye(3, dtype=np.uint8))
    plan = decide(FMC(make_spec(2), 80, walkers=8), world, [0, 2])
    assert world.sim_steps == 8 + 80  # the other environment does
    np.testing.assert_array_equal(plan.value, [1, 10])


@pytest.mark.parametrize(("budget", "per_step"), [(8, 1), (100, 1), (660, 15), (764, 15)])
def test_the_budget_is_kept(budget, per_step):
    for batch in (1, 3):
        world = random_tables(1, states=500)
        world.ends[:] = False
        decide(FMC(make_spec(per_step=per_step), budget, walkers=8), world, [0] * batch)
        assert world.sim_steps == batch * (budget // per_step // 8 * 8)
        assert all(len(states) == 8 * batch for states, _ in world.stepped)  # a call per tick


def test_environments_plan_as_each_alone():
    world, planner = random_tables(2), FMC(make_spec(), 200, walkers=10)
    starts = [s for s in (0, 3, 11, 25) if not world.ends[s]]
    episodes = [4, 0, 9, 2][: len(starts)]
    together = decide(planner, world, starts, episodes)
    for b, episode in enumerate(episodes):
        alone = decide(planner, world, starts[b : b + 1], [episode])
        assert (alone.action[0], alone.value[0]) == (together.action[b], together.value[b])


def test_actions_begin_where_the_space_does():
    world = corridor(20)
    step = world.step
    world.step = lambda state, action: step(state, action - 3)
    plan = decide(FMC(make_spec(2, start=3), 100, walkers=10), world, [10])
    assert plan.action[0] in (3, 4)
    assert plan.action.dtype == np.int64


CHANGES = {"budget": 90, "walkers": 7, "balance": 0.0, "seconds": 1e-9}


@pytest.mark.parametrize("key", OPTIONS["fmc"] + ["budget"])
def test_every_option_matters(key):
    def plans(**options: Any):
        given: dict[str, Any] = {"budget": 200, "walkers": 10} | options
        planner = FMC(make_spec(), **given)
        decided = [decide(planner, random_tables(5), [0], decision=d) for d in range(5)]
        return [(plan.action[0], plan.value[0], plan.statistics) for plan in decided]

    assert plans() == plans()
    assert plans() != plans(**{key: CHANGES[key]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"walkers": 1}, r"planner\.walkers is 1: give a whole number of at least 2"),
        ({"balance": -1}, r"planner\.balance is -1: give a number of at least 0"),
        ({"budget": 9, "walkers": 10}, r"planner\.budget is 9: one step of each of 10 walkers"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        FMC(make_spec(), **({"budget": 100} | options))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"walkers": 32.5}, r"planner\.walkers is 32\.5: give a whole number of at least 2"),
        ({"walkers": True}, r"planner\.walkers is True: give a whole number of at least 2"),
        ({"balance": math.inf}, r"planner\.balance is inf: give a number of at least 0"),
        ({"balance": math.nan}, r"planner\.balance is nan: give a number of at least 0"),
        ({"balance": "x"}, r"planner\.balance is 'x': give a number of at least 0"),
    ],
)
def test_options_of_another_type_are_refused_in_one_line(options, message):
    test_bad_options_are_refused_in_one_line(options, message)


def test_one_tick_is_made_however_little_time_there_is():
    plan = decide(FMC(make_spec(2), 100, seconds=1e-9, walkers=10), corridor(20), [10])
    assert plan.statistics["majority"] >= 0.5  # of two actions; nobody has one before a tick
