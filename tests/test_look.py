"""Looking at a decision: what is drawn is what the run's planner had, and did."""

import json
from pathlib import Path

import numpy as np
import pytest
from commandline import CommandLine, Commands
from matplotlib.image import imread

from planners.fmc import FMC
from suites import environment, look
from suites.looking import drawings, stage
from suites.looking.searches import Fan, Rows, SearchTree, describe
from suites.tasks import registry
from suites.tasks.atari.task import AtariTask
from suites.tasks.control import ControlTask
from suites.tasks.toy import ChainTask

BREAKOUT = ("task=breakout", "task.frame_skip=10", "task.max_frames=60", "threads=1")
POLE = ("task=pole", "planner.budget=400", "planner.single=0.4", "threads=1")


class Bench:
    """Makes runs, notes what they execute, and looks at them."""

    def __init__(self, monkeypatch, capsys, tmp_path):
        self._call = Commands(monkeypatch, capsys)
        self._command = CommandLine(monkeypatch, capsys, tmp_path / "runs")
        self._path = tmp_path
        self.executed: list[np.ndarray] = []
        self.held: list = []  # the searches that were drawn

        def noting(kind):
            step = kind.step

            def noted(task, actions):
                self.executed.append(np.array(actions[0]))
                return step(task, actions)

            monkeypatch.setattr(kind, "step", noted)

        for kind in (AtariTask, ChainTask, ControlTask):
            noting(kind)
        draw = drawings.Canvas.draw

        def drawn(canvas, title, subtitle, picture, search):
            self.held.append(search)
            return draw(canvas, title, subtitle, picture, search)

        monkeypatch.setattr(drawings.Canvas, "draw", drawn)

    def run(self, *words: str) -> Path:
        if "task=pole" in words:
            (self._path / "conf" / "task").mkdir(parents=True, exist_ok=True)
            yaml = "_target_: pole.make\nreward: upright\n"
            (self._path / "conf" / "task" / "pole.yaml").write_text(yaml)
            words = ("--config-dir", str(self._path / "conf"), *words)
        code, _, err = self._command(*words)
        assert code == 0, err
        (summary,) = self._path.glob("**/summary.json")
        return summary.parent

    def look(self, *words) -> tuple[int, str, str]:
        code, out, err = self._call(look.main, *words)
        return code, out.strip(), err

    def see(self, run: Path, decision: int):
        """The search at a decision, and what the run executed then."""
        actions = list(self.executed)
        code, out, err = self.look(run, f"decision={decision}")
        assert code == 0, err
        path = run / "look" / f"episode000-decision{decision:04d}.png"
        assert out == str(path)
        assert imread(path).shape[:2] == (720, 1280)
        return self.held[-1], actions[decision]


@pytest.fixture
def bench(monkeypatch, capsys, tmp_path):
    return Bench(monkeypatch, capsys, tmp_path)


@pytest.mark.parametrize("search", ["uct", "puct", "gumbel"])
def test_the_tree_of_mcts(bench, search):
    words = ("planner.reuse=false", "planner.budget=300", "planner.depth=4")
    run = bench.run("planner=mcts", "task=toy-chain", f"planner.search={search}", *words)
    tree, executed = bench.see(run, 3)
    assert isinstance(tree, SearchTree)
    simulations = (300 - 4) // (1 + 4)
    assert tree.visits[0] == simulations + 1  # and the root's own evaluation
    assert tree.visits[tree.parent == 0].sum() == simulations
    assert f"{simulations} simulations" in tree.said
    assert "kept" not in tree.said
    assert tree.action[tree.executed] == ("left", "right")[int(executed)]
    assert tree.parent[tree.executed] == 0
    assert all(tree.parent[1:] < np.arange(1, len(tree.parent)))
    below = tree.parent[1:, None] == np.arange(len(tree.parent))
    np.testing.assert_array_equal(  # a node's own evaluation, and what went on
        (tree.visits[1:, None] * below).sum(axis=0)[below.any(axis=0)],
        tree.visits[below.any(axis=0)] - 1,
    )


def test_a_kept_subtree_is_told_apart(bench):
    run = bench.run("planner=mcts", "task=toy-chain", "planner.budget=300", "planner.depth=4")
    tree, _ = bench.see(run, 3)
    kept = int(tree.said.split(", ")[1].split()[0])
    assert kept > 0
    assert tree.visits[0] == 59 + kept + 1


def test_the_tree_of_iw(bench):
    run = bench.run("planner=mcts", "planner.search=iw", "planner.budget=200", *BREAKOUT)
    executed = [("NOOP", "FIRE", "RIGHT", "LEFT")[int(action)] for action in bench.executed]
    assert bench.look(run, "video=true")[0] == 0
    assert [tree.action[tree.executed] for tree in bench.held] == executed
    assert {bool(tree.visits[tree.executed]) for tree in bench.held} == {True, False}
    for tree in bench.held:
        assert tree.visits[0] == np.count_nonzero(tree.visits)  # the nodes from there on
        assert tree.visits[0] - 1 <= 200 // 10 + 20
        assert tree.value[tree.executed] == tree.value[tree.parent == 0].max()
        assert set(drawings.shown_nodes(tree)) >= {0, tree.executed}


def test_the_walkers_of_fmc(bench, monkeypatch):
    run = bench.run(
        "planner=mcts", "planner.search=fmc", "planner.budget=500", "planner.walkers=7", *BREAKOUT
    )
    rows, executed = bench.see(run, 1)
    assert isinstance(rows, Rows)
    assert rows.actions.shape == (7, 500 // 10 // 7)
    assert rows.counts.sum() == 7
    assert rows.counts[rows.chosen] == rows.counts.max()
    assert rows.chosen == executed
    assert all(np.diff(rows.returns) <= 0)
    np.testing.assert_array_equal(rows.counts, np.bincount(rows.actions[:, 0], minlength=4))
    kept = FMC.plan

    def plan(self, *arguments):  # the ways are those that lead to the walkers' rewards
        found, walkers = kept(self, *arguments)
        model, state = arguments[0], arguments[2]
        rewards = model.rollout(state, walkers.actions)[0].sum(axis=-1)
        np.testing.assert_array_equal(rewards, walkers.rewards)
        return found, walkers

    monkeypatch.setattr(FMC, "plan", plan)
    assert bench.look(run, "decision=2")[0] == 0


def test_candidates_of_discrete_mpc(bench):
    run = bench.run("task=toy-chain", "planner.budget=300", "planner.max_steps=20")
    rows, executed = bench.see(run, 0)
    assert isinstance(rows, Rows)
    assert rows.actions.shape == (15, 20)
    assert rows.kind == "candidates"
    assert rows.chosen == executed
    assert all(np.diff(rows.returns) <= 0)
    assert rows.chosen == rows.actions[0, 0]  # icem executes its best candidate


def test_the_fan_of_mpc(bench, monkeypatch):
    asked = []

    def draw(state, lines):
        asked.append(lines)

    class Scenes:
        def __enter__(self):
            return draw

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(stage, "_scenes", lambda settings: Scenes())
    run = bench.run(*POLE)
    fan, executed = bench.see(run, 4)
    assert isinstance(fan, Fan)
    assert len(fan.returns()) == 20  # 400 steps over a horizon of 20
    np.testing.assert_array_equal(fan.chosen[0, 0], executed)
    assert fan.chosen_rewards.sum() == fan.returns().max()  # icem executes its best candidate
    (lines,) = asked
    assert len(lines) == 20 + 1
    task = registry.make({"_target_": "pole.make", "reward": "upright"})
    point = stage.telling(task.simulation.model)
    np.testing.assert_allclose(point.offset, (0, 0, 0.5), atol=1e-12)  # the far end of the pole
    for line in lines:
        np.testing.assert_allclose(np.linalg.norm(line.points, axis=1), 0.5)
        np.testing.assert_array_equal(line.points[0], lines[0].points[0])  # all begin here
    # A reward is the height of the pole, in halves of a metre.
    np.testing.assert_allclose(lines[-1].points[1:, 2] / 0.5, fan.chosen_rewards[0], atol=1e-9)


def test_a_video_with_scenes_or_what_to_install(bench):
    run = bench.run(*POLE)
    code, out, err = bench.look(run, "video=true", "first=47", "fps=4")
    assert code == 0
    assert "3 pictures" in err
    assert ("apt install" in err) == ("no scene" in err)
    import imageio_ffmpeg

    assert out == str(run / "look" / "episode000.mp4")
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(out)
    assert (frames, seconds) == (3, pytest.approx(0.75, abs=0.05))
    assert len(bench.held) == 3


def test_without_libraries_the_search_is_drawn_alone(bench, monkeypatch):
    monkeypatch.setattr(environment, "rendering", "nonsense")
    run = bench.run(*POLE)
    code, out, err = bench.look(run, "decision=1")
    assert code == 0
    assert err.count("no scene beside the search: apt install libegl1") == 1
    assert "set env var" not in err
    assert Path(out).exists()


TOY = ("planner=mcts", "task=toy-chain", "planner.budget=100")


@pytest.fixture
def run(bench):
    return bench.run(*TOY)


def record(run: Path) -> Path:
    (path,) = run.glob("checkpoint/*/episode0.json")
    return path


def test_another_episode_than_the_recorded_one(bench, run):
    found = json.loads(record(run).read_text())
    last = found["episode"]["length"] - 1
    assert bench.look(run, f"decision={last}")[0] == 0
    found["episode"]["score"] += 1
    record(run).write_text(json.dumps(found))
    code, out, err = bench.look(run, "video=true", f"first={last}")
    assert (code, out) == (2, "")
    assert "this is not the episode that was recorded: it returned" in err.splitlines()[-1]
    assert not list(run.glob("look/*.mp4"))
    assert not list(run.glob("look/.*"))
    assert bench.look(run, "decision=0")[0] == 0  # not played to its end


def test_another_state_than_the_recorded_one(bench, run):
    length = json.loads(record(run).read_text())["episode"]["length"]
    states = np.full((length, 1), -1.0)
    np.save(record(run).with_suffix(".npy"), states)
    code, _, err = bench.look(run, "decision=1")
    assert code == 2
    assert "its states differ from step 0 on" in err


def test_an_unfinished_run(bench, run):
    length = json.loads(record(run).read_text())["episode"]["length"]
    record(run).unlink()
    assert bench.look(run, "decision=1")[0] == 0
    code, _, err = bench.look(run, "decision=77")
    assert code == 2
    assert f"there is no decision 77: episode 0 ended after {length}" in err.splitlines()[-1]


def test_other_code_is_told(bench, run):
    assert "changed" not in bench.look(run)[2]
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["starts"][-1]["versions"]["numpy"] = "1.0"
    (run / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = bench.look(run)
    assert code == 0
    assert err.splitlines()[0] == (
        "warning: versions changed since the run was made: it may go another way now"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["decision=40"], "there is no decision 40: episode 0 ended after "),
        (["decision=-1"], "decision is '-1': give a whole number of at least 0"),
        (["episode=1"], "there is no episode 1: the run has 1; give one from 0 to 0"),
        (["desicion=1"], "unknown key 'desicion': choose one of decision, episode"),
        (["40"], "can't read '40': write key=value"),
        (["video=maybe"], "video is 'maybe': give true or false"),
        (["video=true", "decision=1"], "decision means nothing with video"),
        (["first=1"], "first means nothing without video: add video=true"),
        (["video=true", "first=2", "last=1"], "last is 1: give at least first, 2"),
        (["video=true", "last=99"], "there is no decision 99"),
        (["video=true", "fps=0"], "fps is '0': give a number above 0"),
    ],
)
def test_one_line(bench, run, words, said):
    code, out, err = bench.look(run, *words)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_what_can_not_be_looked_at(bench, tmp_path):
    code, _, err = bench.look(tmp_path)
    assert code == 2
    assert f"error: {tmp_path} is no run directory: give one" in err
    run = bench.run("agent=random", "task=toy-chain")
    code, _, err = bench.look(run)
    assert code == 2
    assert "planner=none acts without a search" in err


def test_a_configuration_of_another_version(bench, run):
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("leaves: null", "leafs: 3"))
    code, _, err = bench.look(run)
    assert code == 2
    assert "planner.leafs" in err


def test_a_budget_in_seconds_can_not_be_played_again(bench, run):
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("  seconds: null", "  seconds: 0.1"))
    code, _, err = bench.look(run)
    assert code == 2
    assert "planner.seconds is 0.1" in err


def test_help(bench):
    code, out, _ = bench.look("--help")
    assert code == 0
    for key in look.KEYS:
        assert f"  {key}: " in out


def test_what_is_shown_of_a_large_tree():
    random = np.random.default_rng(0)
    n = 2000
    parent = np.r_[-1, [random.integers(max(1, i // 4)) for i in range(1, n)]]
    visits = np.ones(n, int)
    for node in range(n - 1, 0, -1):
        visits[parent[node]] += visits[node]
    least = int(np.flatnonzero(parent == 0)[-1])
    tree = SearchTree(parent, ["a"] * n, visits, np.zeros(n), least, visits * 1.0, "visits", "")
    shown = drawings.shown_nodes(tree)
    assert shown == sorted(set(shown))
    assert all(parent[node] in shown for node in shown[1:])
    assert set(shown) >= {0, least}
    leaves = set(shown) - set(parent[shown])
    assert len(leaves) <= drawings.BRANCHES
    best = int(np.argmax(np.where(parent == 0, visits, 0)))
    assert best in shown


def test_words_for_continuous_actions():
    space = registry.make("cheetah").facts.action_space
    assert describe(np.array([-1.0, 0.0, 1.0, 0.9, -0.9, 0.1]), space) == "-0++-0"
    assert describe(np.array([-0.5, 0.25]), space) == "-0.50, 0.25"
