"""What learners see of a game: beside ALE's own pictures, and beside frames put together here."""

from math import lcm

import gymnasium
import numpy as np
import pytest
from games import make, plans_for, play
from gymnasium.vector import AutoresetMode
from omegaconf import OmegaConf

from suites.assembly import settle
from suites.errors import UserError
from suites.tasks import registry
from suites.tasks.atari.emulator import Emulator, Settings, start_console
from suites.tasks.atari.pixels import SIZE, brighter, shares
from suites.tasks.atari.task import AtariTask
from suites.tasks.registration import identifier


def shrunk(picture: np.ndarray) -> np.ndarray:
    """The area resize of a picture [H, W] to [84, 84], by repeating and adding up."""
    sums, area = picture.astype(int), 1
    for axis, length in enumerate(picture.shape):
        common = lcm(length, SIZE)
        many = np.moveaxis(sums.repeat(common // length, axis), axis, -1)
        blocks = many.reshape(*many.shape[:-1], SIZE, common // SIZE)
        sums, area = np.moveaxis(blocks.sum(-1), -1, axis), area * (common // SIZE)
    return np.rint(sums / area).astype(np.uint8)


@pytest.mark.parametrize("height", [210, 214, 220, 230, 250, 211])
def test_pictures_are_shrunk_by_area(height):
    random = np.random.default_rng(height)
    for levels in (256, 2):  # with two there are many halves to be rounded
        frames = random.integers(levels, size=(2, height, 160)).astype(np.uint8)
        frames *= 255 // (levels - 1)
        picture = np.empty((SIZE, SIZE), np.uint8)
        brighter(frames, *shares(height), *shares(160), picture)
        assert np.array_equal(picture, shrunk(frames.max(axis=0)))


class Filming:
    """Stands before a console and keeps what it shows after each frame."""

    def __init__(self, console):
        self._console = console
        self.film: list[np.ndarray] = []

    def __getattr__(self, name):
        return getattr(self._console, name)

    def act(self, action):
        reward = self._console.act(action)
        self.film.append(self._console.getScreenGrayscale())
        return reward


@pytest.mark.parametrize("frame_skip", [1, 2, 3, 4, 15])
def test_the_last_two_frames_of_a_decision(frame_skip):
    emulator = Emulator(Settings("breakout", frame_skip=frame_skip))
    emulator.console = filming = Filming(emulator.console)
    emulator.frames = np.zeros((2, *emulator.screen_shape), np.uint8)
    random, ended = np.random.default_rng(frame_skip), []
    for episode in range(8 if frame_skip > 4 else 2):
        emulator.restart(episode, noops=episode)
        while emulator.alive:
            filming.film.clear()
            emulator.step(int(random.integers(4)))
            seen = filming.film[frame_skip - 2 :] if frame_skip > 1 else filming.film
            seen = seen or filming.film[-1:]
            assert np.array_equal(emulator.frames.max(axis=0), np.max(seen, axis=0))
        ended.append(len(filming.film))
    assert frame_skip < 15 or len(set(ended)) > 2


def restarts(task):
    """Begin episodes; each time a console of its own that is there too.

    Also after others, in which the task's console was elsewhere.
    """
    task.reset(seed=0)
    for noops in (0, 3, 0):
        play(task, plans_for(task, 30, 1))
        task.simulation.emulators[0].restart(0, noops)
        console = start_console(task.settings)
        for _ in range(noops):
            console.act(0)
        yield console


@pytest.mark.parametrize("game", ["pong", "breakout", "freeway"])
def test_the_first_frame_of_an_episode(game):
    task = make(game, sticky=0.0, observation="pixels")
    emulator = task.simulation.emulators[0]
    for console in restarts(task):
        assert emulator.frames is not None
        assert all(np.array_equal(frame, console.getScreenGrayscale()) for frame in emulator.frames)


@pytest.mark.parametrize("game", ["pong", "seaquest"])
def test_the_first_screen_in_a_state(game):
    task = make(game, sticky=0.0, screen=True)
    emulator = task.simulation.emulators[0]
    for console in restarts(task):
        seen = task.simulation.observe(emulator.read()[None], "screen")[0]
        assert np.array_equal(seen.reshape(console.getScreen().shape), console.getScreen())


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (np.maximum(a, b) - np.minimum(a, b)).ravel()


# In these games the first episode after a ROM is loaded begins in the state in which it does here.
@pytest.mark.parametrize(
    "game", ["pong", "breakout", "freeway", "seaquest", "carnival", "air_raid"]
)
def test_pixels_are_those_of_ale(game):
    """But for the picture of an episode's last decision.

    ALE leaves out the last frame there, and takes what it has of the decision before instead.
    """
    from ale_py.vector_env import AtariVectorEnv

    frames = 300
    task = make(game, 2, sticky=0.0, noop_max=0, max_frames=frames, observation="pixels")
    ale = AtariVectorEnv(
        game,
        2,
        num_threads=1,
        noop_max=0,
        max_num_frames_per_episode=frames,
        reward_clipping=False,
        use_fire_reset=False,
        autoreset_mode="SameStep",
    )
    assert task.observation_space == ale.observation_space
    different, ends, over = [], 0, True
    for action in plans_for(task, 190, 2):
        if over:
            ours, theirs = task.reset(seed=0)[0], ale.reset(seed=np.zeros(2, int))[0]
            different.append(distances(ours, theirs))
        ours, *mine, infos = task.step(action)
        theirs, *its, others = ale.step(action)
        assert all(np.array_equal(a, b) for a, b in zip(mine, its, strict=True))
        ended = mine[1] | mine[2]
        over, ends = ended.any(), ends + ended.sum()
        if over:
            ours, theirs = infos["final_obs"], others["final_obs"]
            different.append(distances(ours[ended, :-1], theirs[ended, :-1]))
        different.append(distances(ours[~ended], theirs[~ended]))
    assert ends >= 4
    assert np.concatenate(different).max() <= 1
    assert np.concatenate(different).mean() < 1e-3


def test_pixels_and_ram_are_of_the_same_episodes():
    """The same seeds and dice, whatever is shown."""
    tasks = [make(num_envs=2, max_frames=300, observation=o) for o in ("ram", "pixels", None)]
    actions = plans_for(tasks[0], 200, 2)
    for task in tasks:
        task.reset(seed=7)
    plays = [play(task, actions) for task in tasks]
    for ram, pixels, default in zip(*plays, strict=True):
        for a, b, c in zip(ram[1:4], pixels[1:4], default[1:4], strict=True):
            assert np.array_equal(a, b)
            assert np.array_equal(a, c)
        assert np.array_equal(ram[0], default[0])
    assert np.array_equal(tasks[0].simulation.read(), tasks[1].simulation.read())


GAMES = ["breakout", "qbert", "tetris", "klax", "pitfall", "air_raid"]


@pytest.mark.parametrize(
    ("game", "restore"), [*((game, "state") for game in GAMES), ("tic_tac_toe_3d", "replay")]
)
def test_snapshots_hold_what_is_shown(game, restore):
    options = {"max_frames": 360, "observation": "pixels", "restore": restore}
    task, other = make(game, 2, **options), make(game, 2, **options)
    task.reset(seed=4)
    actions = plans_for(task, 131, 2)
    play(task, actions[:31])
    for begin in (31, 81):  # from the second one across the end of the episode
        shown, before = task.restore(task.snapshot()), task.snapshot()
        first = play(task, actions[begin : begin + 50])
        rows = task.simulation.read()
        for again in (task, other):
            assert np.array_equal(again.restore(before), shown)
            for a, b in zip(first, play(again, actions[begin : begin + 50]), strict=True):
                assert all(np.array_equal(x, y) for x, y in zip(a[:4], b[:4], strict=True))
                assert np.array_equal(a[4].get("final_obs"), b[4].get("final_obs"))
            assert np.array_equal(again.simulation.read(), rows)
        assert any(step[3].any() for step in first) == (begin == 81)
    with pytest.raises(ValueError, match="did not show pixels"):
        task.restore(make(game, 2).snapshot())


def test_what_was_shown_stays_as_it_is():
    task = make(num_envs=2, observation="pixels")
    first, _ = task.reset(seed=0)
    copy, snapshot = first.copy(), task.snapshot()
    shown = play(task, plans_for(task, 5, 2))[-1][0]
    shown[:] = 0  # nor does the task mind
    assert np.array_equal(first, copy)
    assert np.array_equal(task.restore(snapshot), first)


def test_planning_does_not_look():
    task, plain = make(observation="pixels"), make()
    for one in (task, plain):
        one.reset(seed=0)
    assert task.simulation.state_size == plain.simulation.state_size
    simulation = task.planning_simulation(1)
    assert simulation.emulators[0].frames is None
    given = plain.simulation.read(), np.zeros(3, int), plans_for(task, 3, 20)
    expected = plain.planning_simulation(1).rollout(*given)
    for a, b in zip(simulation.rollout(*given), expected, strict=True):
        assert np.array_equal(a, b)


def test_through_gymnasium():
    env = gymnasium.make_vec(identifier("breakout"), num_envs=3, max_frames=40)
    assert isinstance(env, AtariTask)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observations, _ = env.reset(seed=0)
    assert observations.shape == env.observation_space.shape == (3, 4, 84, 84)
    assert env.observation_space.contains(observations)
    assert not observations[:, :3].any()
    assert env.facts.horizon == 10
    before, infos = observations, {}
    for t in range(10):
        before = observations
        observations, rewards, terminated, truncated, infos = env.step(np.array([0, 2, 3]))
        assert rewards.dtype == np.float64
        assert not terminated.any()
        assert truncated.tolist() == [t == 9] * 3
    assert infos["_final_obs"].all()
    # Of the four pictures the last three of before are the first three of the final ones.
    assert np.array_equal(infos["final_obs"][:, :3], before[:, 1:])
    assert not observations[:, :3].any()  # the next episode has begun
    assert observations[:, 3].any()
    for wrong in ([0, 1, 4], [0, 1], [[0, 1, 2]]):
        with pytest.raises(ValueError, match="actions are"):
            env.step(np.array(wrong))
    env.close()
    ram = gymnasium.make_vec(identifier("breakout"), num_envs=3, observation="ram")
    assert ram.reset(seed=0)[0].shape == (3, 128)
    with pytest.raises(UserError, match=r"task\.observation is 'rgb': give ram or pixels"):
        gymnasium.make_vec(identifier("breakout"), num_envs=1, observation="rgb")


@pytest.mark.parametrize(("learns", "shown"), [(True, "pixels"), (False, "ram")])
def test_learners_see_pixels_unless_told(learns, shown):
    for task, expected in (
        (registry.config("pong"), shown),
        ({**registry.config("pong"), "observation": "ram"}, "ram"),
        ({**registry.config("pong"), "observation": "pixels"}, "pixels"),
        (registry.config("cheetah-run"), None),
    ):
        config = OmegaConf.create({"task": task, "budget": {"env_steps": 9}, "evaluation": {}})
        settle(config, learns)
        assert config.task.get("observation") == expected
        assert ("observation" in config.task) == (expected is not None)
