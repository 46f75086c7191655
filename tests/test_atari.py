"""Atari: what a step, a seed and a row are; options, runs, and what is said of mistakes."""

import math
import subprocess
import sys

import numpy as np
import pytest
from games import FIRE, RIGHT, make, plans_for, play
from gymnasium.vector import AutoresetMode

from suites import doctor
from suites.errors import UserError
from suites.tasks import atari, registry
from suites.tasks.atari.emulator import RAM, Settings
from suites.tasks.atari_names import ATARI26, ATARI57, GAMES, OPTIONS, SCORES, TWO_PLAYERS


def same(a: list[tuple], b: list[tuple]) -> bool:
    pairs = [pair for x, y in zip(a, b, strict=True) for pair in zip(x[:4], y[:4], strict=True)]
    return all(np.array_equal(x, y) for x, y in pairs)


# Names and facts


def test_names_are_those_of_ale():
    from ale_py import roms

    assert sorted([*GAMES, *TWO_PLAYERS]) == sorted(roms.get_all_rom_ids())
    assert len(set(GAMES)) == len(GAMES) == 104
    assert len(ATARI57) == 57
    assert len(ATARI26) == 26
    assert set(ATARI26) < set(ATARI57) < set(GAMES)
    assert all(human > random for random, human in SCORES.values())
    assert set(GAMES) < set(registry.names())
    assert len(set(registry.names())) == len(registry.names())


def test_nearest_names():
    assert registry.nearest("brekout")[0] == "breakout"
    assert registry.nearest("mspacman")[0] == "ms_pacman"
    assert "two players" in registry.unknown("combat")


def test_the_options_have_the_defaults_of_the_settings():
    settings = Settings("pong")
    assert {name: default for name, (default, _) in OPTIONS.items()} == {
        name: value for name, value in vars(settings).items() if name != "game"
    }


@pytest.mark.parametrize(
    ("max_frames", "frame_skip", "horizon"), [(10, 4, 3), (12, 4, 3), (7, 1, 7), (30, 15, 2)]
)
def test_frames_decisions_and_steps(max_frames, frame_skip, horizon):
    task = make(max_frames=max_frames, frame_skip=frame_skip, noop_max=0)
    facts = task.facts
    assert facts.horizon == horizon
    assert facts.frames_per_step == facts.budget_per_step == frame_skip
    assert facts.control_dt == frame_skip / 60
    assert task.simulation.substeps == frame_skip
    task.reset(seed=0)
    console = task.simulation.emulators[0].console
    for t in range(horizon):
        before = console.getEpisodeFrameNumber()
        _, _, terminated, truncated, infos = task.step(np.array([0]))
        assert not terminated[0]
        assert truncated[0] == (t == horizon - 1) == ("final_obs" in infos)
        if not truncated[0]:
            assert console.getEpisodeFrameNumber() == before + frame_skip


def test_facts_of_games():
    facts = make("pong").facts
    assert facts.name == "pong"
    assert facts.reference == {"random": -20.7, "human": 14.6}
    assert facts.horizon == 27000
    assert facts.action_space.n == 6
    assert make("pong", full_action_space=True).facts.action_space.n == 18
    assert make("tetris").facts.reference == {}


def test_rewards_are_points_and_a_life_ends_nothing():
    task = make("breakout", sticky=0.0)
    task.reset(seed=0)
    steps = play(task, plans_for(task, 400, 1))
    rewards = np.concatenate([step[1] for step in steps])
    ends = np.flatnonzero([step[2][0] for step in steps])
    assert rewards.max() >= 1.0
    assert rewards.dtype == np.float64
    assert len(ends) >= 1
    assert ends[0] > 100  # all five lives; the first goes sooner
    assert "final_obs" in steps[ends[0]][4]


# Options


def first_steps(**options) -> np.ndarray:
    task = make(**options)
    task.reset(seed=3)
    actions = np.random.default_rng(0).integers(4, size=(30, 1))
    return np.concatenate([step[0] for step in play(task, actions)])


@pytest.mark.parametrize(
    "option",
    [
        {"sticky": 0.0},
        {"sticky": 0.6},
        {"frame_skip": 2},
        {"noop_max": 0},
        {"max_frames": 20},
        {"mode": 8},
        {"difficulty": 1},
        {"full_action_space": True},
        {"game": "pong"},
    ],
)
def test_every_option_matters(option):
    """To what happens, that is to the RAM."""
    assert np.array_equal(first_steps(), first_steps())
    assert not np.array_equal(first_steps(), first_steps(**option))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"sticky": 1}, "task.sticky is 1: give a probability"),
        ({"sticky": "often"}, "task.sticky is 'often'"),
        ({"frame_skip": 0}, "task.frame_skip is 0: give a whole number of at least 1"),
        ({"noop_max": -1}, "task.noop_max is -1"),
        ({"max_frames": 1.5}, "task.max_frames is 1.5"),
        ({"screen": "yes"}, "task.screen is 'yes': give true or false"),
        ({"observation": "rgb"}, "task.observation is 'rgb': give ram or pixels"),
        ({"restore": "exact"}, "task.restore is 'exact': give state or replay"),
        ({"full_action_space": 3}, "task.full_action_space is 3"),
        ({"mode": 5}, "task.mode is 5: breakout has 0, 4, 8"),
        ({"difficulty": 2}, "task.difficulty is 2: breakout has 0, 1"),
    ],
)
def test_bad_options_are_one_line(option, said):
    with pytest.raises(UserError, match=said) as caught:
        atari.make("breakout", **option)
    assert "\n" not in str(caught.value)


def test_the_screen_in_a_row():
    task, plain = make(screen=True, sticky=0.0), make(sticky=0.0)
    for one in (task, plain):
        one.reset(seed=0)
    simulation = task.planning_simulation(1)
    assert simulation.state_size == plain.simulation.state_size + 210 * 160
    _, _, last = simulation.rollout(
        task.simulation.read(), np.zeros(1, int), np.full((1, 9), RIGHT)
    )
    play(task, np.full((9, 1), RIGHT))
    shown = task.simulation.emulators[0].console.getScreen()
    assert np.array_equal(simulation.observe(last, "screen"), shown.reshape(1, -1))
    assert np.array_equal(simulation.observe(last), last[:, RAM])
    play(plain, np.full((9, 1), RIGHT))
    assert np.array_equal(plain.simulation.read()[0], last[0, : plain.simulation.state_size])


# Steps, rollouts, snapshots


def test_seeds():
    task, other = make(num_envs=3), make()
    first, _ = task.reset(seed=5)
    assert first.shape == (3, 128)
    assert task.observation_space.contains(first)
    assert np.array_equal(first, task.simulation.observe(task.simulation.read()))
    assert len({row.tobytes() for row in first}) == 3
    actions = plans_for(task, 300, 3)
    alone, _ = other.reset(seed=6)
    assert np.array_equal(first[1:2], alone)
    together, apart = play(task, actions), play(other, actions[:, 1:2])
    for a, b in zip(together, apart, strict=True):
        assert np.array_equal(a[0][1:2], b[0])
        assert a[1][1] == b[1][0]
    task.reset(seed=5)  # after other games: nothing of them is left
    assert same(together, play(task, actions))
    assert task.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


def test_rollouts_agree_with_steps():
    """To the bit, sticky actions included, and beyond the end of the game."""
    task = make(num_envs=2)
    task.reset(seed=1)
    play(task, plans_for(task, 20, 2))
    roots, before = task.simulation.read(), task.snapshot()
    plans, root_of = plans_for(task, 5, 300, seed=4), np.array([0, 1, 1, 0, 1])
    simulation = task.planning_simulation(1)
    rewards, continuation, last = simulation.rollout(roots, root_of, plans)
    assert rewards.sum() > 0
    assert (continuation[:, -1] == 0).any()
    for n, root in enumerate(root_of):
        task.restore(before)
        for h in range(300):
            row = task.simulation.read()[root]
            actions = np.full(2, plans[n, h])
            _, reward, terminated, truncated, _ = task.step(actions)
            assert not truncated.any()
            assert rewards[n, h] == reward[root]
            assert continuation[n, h] == 1.0 - terminated[root]
            if terminated[root]:
                assert (rewards[n, h + 1 :] == 0).all()
                assert (continuation[n, h + 1 :] == 0).all()
                step = simulation.rollout(row[None], np.zeros(1, int), plans[n : n + 1, h : h + 1])
                assert np.array_equal(step[2][0], last[n])
                break
        else:
            assert np.array_equal(task.simulation.read()[root], last[n])
    ended = last[continuation[:, -1] == 0][:1]
    after = simulation.rollout(ended, np.zeros(1, int), plans[:1, :3])
    assert not after[0].any()
    assert not after[1].any()
    assert np.array_equal(after[2], ended)


def test_snapshot_goes_back_through_a_reset():
    task = make(num_envs=2)
    task.reset(seed=2)
    actions = plans_for(task, 500, 2)
    play(task, actions[:30])
    before = task.snapshot()
    first = play(task, actions[30:])
    rows = task.simulation.read()
    assert any(step[2].any() for step in first)
    observations = task.restore(before)
    assert np.array_equal(observations, before.states[:, RAM])
    assert same(first, play(task, actions[30:]))
    assert np.array_equal(task.simulation.read(), rows)
    other = make(num_envs=2)
    other.restore(before)
    assert same(first, play(other, actions[30:]))


@pytest.mark.parametrize("game", ["qbert", "tetris", "tic_tac_toe_3d", "klax", "pitfall"])
def test_restores_that_are_delicate(game):
    """Plans from the true states, on an emulator that was elsewhere, predict what then happens."""
    task = make(game)
    task.reset(seed=1)
    simulation = task.planning_simulation(1)
    for seed in range(12):
        plans = plans_for(task, 2, 12, seed=seed)
        roots = task.simulation.read()
        rewards, _, last = simulation.rollout(roots, np.zeros(2, int), plans)
        steps = play(task, plans[1][:, None])
        assert [step[1][0] for step in steps] == rewards[1].tolist()
        if not any(step[2][0] for step in steps):
            assert np.array_equal(task.simulation.read(), last[1:])


class Counting:
    """Stands before a console and counts calls."""

    def __init__(self, console):
        self._console = console
        self.calls: dict[str, int] = {}

    def __getattr__(self, name):
        self.calls[name] = self.calls.get(name, 0) + 1
        return getattr(self._console, name)


def test_nothing_is_restored_or_saved_in_vain():
    task = make()
    task.reset(seed=0)
    simulation = task.planning_simulation(1)
    console = Counting(simulation.emulators[0].console)
    simulation.emulators[0].console = console
    row, one = task.simulation.read(), np.zeros(1, int)
    for action in (0, 2, 2, 3, 1):
        _, _, row = simulation.rollout(row, one, np.array([[action]]))
    assert console.calls["restoreState"] == 1
    assert console.calls["cloneState"] == 5
    simulation.rollout(simulation.redraw(row, 3), one, np.full((1, 20), RIGHT))
    assert console.calls["restoreState"] == 1  # the same state with other dice
    assert console.calls["cloneState"] == 6
    assert console.calls["act"] == 4 * 25


# The command line


def test_a_run(command, tmp_path):
    import json

    words = ("task=breakout", "agent=random", "task.max_frames=150", "world_model.clairvoyant=true")
    code, out, _ = command(*words, "evaluation.episodes=2", "video=true")
    assert code == 0
    (path,) = tmp_path.glob("breakout/random/*/seed0")
    row = json.loads((path / "evaluations.jsonl").read_text())
    assert row["lengths"] == [math.ceil(150 / 4)] * 2
    assert row["evaluation_env_steps"] == row["evaluation_decisions"] == 76
    assert row["evaluation_env_frames"] == 76 * 4
    assert row["evaluation_sim_frames"] == 0
    assert row["clairvoyant"] is True
    assert "sticky: 0.25" in (path / "config.yaml").read_text()
    videos = sorted(path.glob("video/*.mp4"))
    assert len(videos) == 2
    import imageio_ffmpeg

    frames, _ = imageio_ffmpeg.count_frames_and_secs(str(videos[0]))
    assert frames == 38
    assert "breakout" in out


def test_a_picture():
    task = make()
    task.reset(seed=0)
    state = task.snapshot().states[0]
    play(task, np.array([[FIRE]] * 3 + [[RIGHT]] * 10))  # the paddle is there from the first fire
    later, picture = task.snapshot().states[0], task.picture(state)
    assert picture.shape == (420, 480, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5  # the bricks have colours
    assert np.array_equal(picture[::2, ::3].repeat(2, 0).repeat(3, 1), picture)
    assert not np.array_equal(picture, task.picture(later))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("task=brekout", "unknown task 'brekout'; nearest: breakout"),
        ("task=warlords", "task warlords is a game for two players"),
        ("task=pong task.stickyness=0", "nearest: task.sticky"),
        ("task=pong task.sticky=-1", "task.sticky is -1: give a probability"),
        ("task=pong task.observation=screen", "is 'screen': give ram or pixels"),
        ("task=pong task.name=pung", "unknown task 'pung'; nearest: pong"),
        ("task=pong task.mode=7", "task.mode is 7: pong has 0, 1"),
        ("task=pong task.sticky=0 world_model.clairvoyant=true", "throws no dice"),
        ("task=toy-chain world_model.clairvoyant=true", "toy-chain as it is set up throws"),
    ],
)
def test_one_line(command, word, said):
    code, _, err = command("agent=random", *word.split())
    assert code == 2
    (line,) = err.splitlines()
    assert said in line


def test_without_ale(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    code, _, err = command("task=pong", "agent=random")
    assert code == 2
    (line,) = err.splitlines()
    assert "pip install 'plan-or-learn[atari]'" in line
    with pytest.raises(UserError, match=r"plan-or-learn\[atari\]"):
        atari.make("pong")


def test_the_doctor(monkeypatch):
    assert doctor.check_atari() == doctor.Finding(True, "ale-py 0.12.1, 104 games")
    monkeypatch.setattr(doctor, "version", lambda name: None)
    finding = doctor.check_atari()
    assert not finding.well
    assert "ale-py is not installed" in finding.line
    assert "pip install 'ale-py==0.12.1'" in finding.line


def test_listing_games_needs_no_emulator():
    code = (
        "import sys, suites.tasks.registration; from suites.tasks import registry;"
        "registry.register(); print({'ale_py', 'mujoco'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
