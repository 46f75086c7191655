"""The audit of simulators: it finds faults, says what it found, continues, and warns runs."""

import json

import numpy as np
import pytest
from commandline import CommandLine
from games import make

from suites import audit
from suites.tasks import registry
from suites.tasks.arrays import ArraySimulation
from suites.tasks.atari.emulator import KEY, Emulator
from suites.tasks.atari.simulation import AtariSimulation
from suites.tasks.atari.task import AtariTask
from suites.tasks.control.python_simulation import PythonSimulation
from suites.tasks.toy import ChainTask

EXACT = {"plan": {}, "snapshot": {}}


def found(name: str, cases: int = 4, **options) -> dict[str, set[str]]:
    """The kinds in which a task's simulators fail."""
    task = make(name, screen=True, **options) if name == "breakout" else registry.make(name)
    return {compared: {*kinds} for compared, kinds in audit.audit(task, cases, seed=0).items()}


# What it finds


@pytest.mark.parametrize("name", ["toy-chain", "cheetah-run", "breakout"])
def test_exact(name):
    assert audit.audit(registry.make(name), 4, seed=1) == EXACT


def test_episodes_that_end_within_a_plan():
    assert found("breakout", max_frames=100, cases=8) == {"plan": set(), "snapshot": set()}


def test_a_restore_that_forgets_the_time(monkeypatch):
    restore = ChainTask.restore

    def forgetful(self, snapshot):
        seen = restore(self, snapshot)
        self._steps[:] = 0
        return seen

    monkeypatch.setattr(ChainTask, "restore", forgetful)
    assert found("toy-chain") == {"plan": set(), "snapshot": {"rewards", "observations", "state"}}


def test_a_restore_that_forgets_the_dice(monkeypatch):
    write = AtariSimulation.write

    def forgetful(self, rows):
        rows = rows.copy()
        rows[:, KEY] = 7
        write(self, rows)

    monkeypatch.setattr(AtariSimulation, "write", forgetful)
    seen = found("breakout")
    assert seen["plan"] == set()
    assert {"observations", "state"} <= seen["snapshot"]


def test_an_emulator_that_goes_a_frame_too_far(monkeypatch):
    restore = Emulator._restore

    def hasty(self, row):
        restore(self, row)
        self.console.act(0)

    monkeypatch.setattr(Emulator, "_restore", hasty)
    assert all({"observations", "state"} <= kinds for kinds in found("breakout").values())


def test_a_restore_that_lacks_a_number(monkeypatch):
    write = PythonSimulation._write

    def forgetful(self, row):
        write(self, row * np.r_[np.ones(1 + self.model.nq), np.zeros(len(row) - 1 - self.model.nq)])

    monkeypatch.setattr("suites.tasks.control.find_twin", lambda *_: None)
    assert found("pendulum-swingup", cases=2) == {"plan": set(), "snapshot": set()}
    simulation = registry.make("pendulum-swingup")
    planning = simulation.planning_simulation(1)
    monkeypatch.setattr(planning, "_write", forgetful.__get__(planning))
    monkeypatch.setattr(simulation, "planning_simulation", lambda threads: planning)
    seen = audit.audit(simulation, 2, seed=0)
    assert {"observations", "state"} <= {*seen["plan"]}
    assert seen["snapshot"] == {}


@pytest.mark.parametrize(
    ("part", "kinds"),
    [
        (0, {"rewards"}),
        (1, {"rewards"}),
        (2, {"observations", "state"}),
    ],
)
def test_predictions_that_differ_in_one_thing(monkeypatch, part, kinds):
    rollout = ArraySimulation.rollout

    def wrong(self, roots, root_of, plans):
        said = rollout(self, roots, root_of, plans)
        said[part][:] = 1 - said[part]
        return said

    monkeypatch.setattr(ArraySimulation, "rollout", wrong)
    assert found("toy-chain")["plan"] == kinds


@pytest.mark.parametrize(
    ("byte", "kinds"), [(-1, {"screen", "state"}), (-210 * 160 - 1, {"state"})]
)
def test_bytes_that_show_and_that_do_not(monkeypatch, byte, kinds):
    rollout = AtariSimulation.rollout

    def wrong(self, *arguments):
        rewards, continuation, last = rollout(self, *arguments)
        last[:, byte] ^= 1
        return rewards, continuation, last

    monkeypatch.setattr(AtariSimulation, "rollout", wrong)
    assert found("breakout") == {"plan": kinds, "snapshot": set()}
    counts = audit.audit(make(screen=True), 4, seed=0)["plan"]
    row = {"plan": counts, "snapshot": {}}
    assert bool(audit.fault(row)) == ("screen" in kinds)
    assert ("never showed 4" in audit.said(counts)) == ("screen" not in kinds)


def test_numbers_are_compared_by_their_bits():
    assert audit._differ(np.array([0.0]), np.array([-0.0]))
    assert not audit._differ(np.array([np.nan]), np.array([np.nan]))
    assert audit._differ(np.zeros(2), np.zeros(3))
    assert audit._differ(None, np.zeros(3))


def test_actions_are_within_their_bounds():
    random = np.random.default_rng(0)
    lqr, reacher = registry.make("lqr-lqr_2_1"), registry.make("pendulum-swingup")
    for task in (lqr, reacher):
        drawn = audit.draw(task, random, 3, 50)
        assert drawn.shape == (3, 50, *task.facts.action_space.shape)
        assert np.abs(drawn).max() <= 1
        assert len(np.unique(drawn)) == drawn.size


# The command line


@pytest.fixture
def command(capsys, tmp_path):
    """Calls `suites.audit` on a file of its own; gives the exit code, stdout and stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        code = audit.main([f"file={tmp_path / 'audit.json'}", *words])
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.fixture
def measured(monkeypatch):
    """The tasks that were audited, each with a failure."""
    names: list[str] = []

    def failing(task, cases, seed):
        names.append(task.facts.name)
        return {"plan": {"rewards": 2}, "snapshot": {"state": 1}}

    monkeypatch.setattr(audit, "audit", failing)
    return names


def test_a_failure_is_a_finding(command, measured, tmp_path):
    code, out, err = command("task=toy-chain,pendulum", "cases=5", "seed=2")
    assert code == 0
    cells = "| 5 | rewards 2 | bytes that never showed 1 | FAILS |"
    assert out.splitlines()[2:] == [f"| toy-chain {cells}", f"| pendulum-swingup {cells}"]
    assert err.startswith("1/2  toy-chain: plan rewards 2; snapshot bytes that never showed 1 (")
    rows = json.loads((tmp_path / "audit.json").read_text())
    assert [row["task"] for row in rows] == ["pendulum-swingup", "toy-chain"]  # always this order
    assert rows[0]["versions"].keys() == {"dm-control", "mujoco"}
    assert (rows[0]["cases"], rows[0]["seed"], rows[0]["restore"]) == (5, 2, "state")


def test_what_is_done_is_skipped(command, measured, tmp_path, monkeypatch):
    words = "task=toy-chain", "cases=5"
    command(*words)
    for again in ((), ("cases=4",)):
        _, out, err = command(*words, *again)
        assert "already audited" in err
        assert "| 5 |" in out
    assert len(measured) == 1
    for number, other in enumerate((("cases=6",), ("seed=1",), ("seed=1", "force=true")), 2):
        command(*words, *other)
        assert len(measured) == number
    monkeypatch.setattr(audit, "installed", lambda name: {"mujoco": "5.0"})
    command(*words, "seed=1")
    assert len(measured) == 5
    assert len(json.loads((tmp_path / "audit.json").read_text())) == 1


def test_an_interrupted_audit_continues(command, measured, monkeypatch):
    make_task = registry.make

    def interrupted(settings):
        if settings["name"] == "pendulum-swingup":
            raise KeyboardInterrupt
        return make_task(settings)

    monkeypatch.setattr(registry, "make", interrupted)
    code, _, err = command("task=toy-chain,pendulum")
    assert code == 130
    assert err.splitlines()[-1] == "interrupted: the same command continues"
    monkeypatch.setattr(registry, "make", make_task)
    command("task=toy-chain,pendulum")
    assert measured == ["toy-chain", "pendulum-swingup"]


def test_games_are_audited_by_either_restore(command, measured, tmp_path, monkeypatch):
    options = []
    monkeypatch.setattr(registry, "make", lambda given: options.append(given) or AtariTask.__new__)
    monkeypatch.setattr(audit, "audit", lambda *_: EXACT)
    for restore in audit.RESTORES:
        command("task=pong", f"restore={restore}")
    assert [(given["restore"], given["screen"]) for given in options] == [
        ("state", True),
        ("replay", True),
    ]
    _, out, _ = command("task=pong", "restore=replay")
    assert "| pong, replay | 60 | exact | exact |  |" in out
    assert {*audit.read(tmp_path / "audit.json")} == {("pong", "state"), ("pong", "replay")}


def test_all_is_every_task_of_the_suite():
    assert audit.parse(["task=all"]).tasks == registry.names()
    assert len(audit.parse(["task=all", "restore=replay"]).tasks) == 104


def test_help(command):
    code, out, _ = command("--help")
    assert code == 0
    for key in audit._DEFAULTS:
        assert f"  {key}=" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "no task is given: say task=breakout"),
        ("task=brekout", "unknown task 'brekout'; nearest: breakout"),
        ("task=pong,walker_runn", "nearest: walker-run"),
        ("task=pong,", "unknown task ''"),
        ("breakout", "can't read 'breakout': write key=value, as in task=breakout"),
        ("--task=pong", "can't read '--task=pong'"),
        ("task=pong case=3", "unknown key 'case'; nearest: cases"),
        ("task=pong cases=0", "cases is '0': give a whole number from 1"),
        ("task=pong cases=many", "cases is 'many'"),
        ("task=pong seed=-1", "seed is '-1': give a whole number from 0 to 2147483647"),
        ("task=pong force=yes", "force is 'yes': give true or false"),
        ("task=pong restore=fast", "restore is 'fast': give state or replay"),
        ("task=pong,cheetah restore=replay", "restore=replay is for Atari games, and cheetah-run"),
        ("task=toy-chain file=/dev/null/x", "can't"),
        ("task=toy-chain file=/", "can't read the audit in /"),
    ],
)
def test_one_line(command, words, said):
    code, out, err = command(*words.split())
    assert code == 2
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_a_damaged_file(command, tmp_path):
    for text in ("[{", "[3]", '[{"task": "pong"}]', "7"):
        (tmp_path / "audit.json").write_text(text)
        code, _, err = command("task=toy-chain")
        assert code == 2
        assert "mend or delete it" in err


# What is kept


def test_the_table_is_that_of_the_audit():
    """And every task was audited, with the versions of today."""
    rows = audit.read(audit.FILE)
    assert {name for name, restore in rows if restore == "state"} == {*registry.names()}
    for row in rows.values():
        assert row["versions"] == audit.installed(row["task"]), "python -m suites.audit task=all"
    assert audit.TABLE.read_text() == audit.page(list(rows.values()))


def test_what_failed_is_exact_under_replay():
    rows = audit.read(audit.FILE)
    failed = [name for name, restore in rows if audit.fault(rows[name, restore])]
    for name in failed:
        assert {kind: rows[name, "replay"][kind] for kind in EXACT} == EXACT


def test_a_run_on_what_failed_is_warned(monkeypatch, capsys, tmp_path):
    file, failed = tmp_path / "audit.json", {"plan": {"rewards": 2, "state": 3}, "snapshot": {}}

    def keep(counts: dict, **other) -> None:
        rows = [
            {"task": name, "restore": "state", "cases": 60, "seed": 0}
            | {"versions": audit.installed(name), **counts, **other}
            for name in ("toy-chain", "breakout")
        ]
        file.write_text(json.dumps(rows))

    monkeypatch.setattr(audit, "FILE", file)
    command = CommandLine(monkeypatch, capsys, tmp_path / "runs")
    game = "task=breakout", "task.max_frames=8", "force=true"

    def warned(*words: str) -> list[str]:
        code, _, err = command(*game, *words)
        assert code == 0
        return [line for line in err.splitlines() if "failed the audit" in line]

    plans = "planner=mcts", "planner.search=iw", "planner.budget=60"
    assert warned(*plans) == []  # nothing is known
    keep(failed)
    said = "failed the audit of its simulator (plan: rewards 2, state 3, of 60 cases)"
    assert warned(*plans) == [f"breakout {said}: task.restore=replay goes back exactly"]
    assert audit.warning("toy-chain", "state") == f"toy-chain {said}: plans may be wrong"
    assert warned(*plans, "task.restore=replay") == []
    assert warned("agent=random") == []  # which plans nothing
    keep(failed, versions={"ale-py": "0.1"})
    assert warned(*plans) == []
    keep({"plan": {"state": 3}, "snapshot": {}})
    assert warned(*plans) == []
    file.write_text("{")
    code, _, err = command(*game, *plans)
    assert code == 2
    assert "mend or delete it" in err
