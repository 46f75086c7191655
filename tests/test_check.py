"""Parts that keep to their interfaces, and what is found where one does not."""

import subprocess
import sys
from functools import partial

import pytest

from suites import check
from suites.checks import learners

SMALL = ("learner.warmup=30", "learner.width=16", "learner.batch=16")
PENDULUM = ("task=pendulum", "planner.budget=50")
CHAIN = ("task=toy-chain", "planner.budget=50")
PETS = ("agent=pets", "world_model.width=16", "world_model.warmup=60", "world_model.every=60")
PETS = (*PETS, "world_model.epochs=2", "world_model.repeat=2", "planner.budget=64")
PETS = (*PETS, "planner.min_steps=4", "planner.max_steps=4", "planner.iterations=1")
PLANNED = ("task=pendulum", "planner=mpc", "planner.budget=400", "budget.env_steps=0")


@pytest.fixture
def checked(call, tmp_path):
    """Checks parts of one's own: `planner.mine` is a class of `broken_parts`."""
    for part, options in {
        "planner": "budget: 50",
        "world_model": "threads: 1",
        "learner": "",
        "task": "",
    }.items():
        (tmp_path / part).mkdir()
        base = f"defaults: [{BASE[part]}]\n" if part in BASE else ""
        (tmp_path / part / "mine.yaml").write_text(f"{base}_target_: ???\n{options}\n")
    return partial(call, check.main, "--config-dir", tmp_path)


BASE = {"learner": "td3"}


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("planner=mpc", "task=pendulum", "planner.budget=400"), 17),
        (("planner=mine", "planner._target_=broken_parts.Shooting", *PENDULUM), 17),
        (("planner=mine", "planner._target_=broken_parts.Diverging", *PENDULUM), 17),
        (("planner=mcts", "task=toy-chain", "planner.budget=50"), 17),
        (("learner=td3", "task=pendulum", *SMALL), 12),
        ((*PETS, "task=pendulum"), 17),
        (("agent=random", "task=catch"), 8),
    ],
)
def test_what_keeps_to_everything(checked, words, count):
    code, out, err = checked(*words)
    assert code == 0, out
    learns = any(word.startswith(("learner=", "agent=pets")) for word in words)
    assert err == learns * "training until something is learned...\n"
    assert out.splitlines()[-1] == f"{count} checks, all ok"
    assert out.count("ok   ") == count


@pytest.mark.parametrize(
    ("part", "name", "words", "said"),
    [
        ("planner", "Moody", PENDULUM, "of the plan differs"),
        ("planner", "Remembering", PENDULUM, "with the same state, carry and noise, value"),
        ("planner", "Mingling", PENDULUM, "decided for otherwise when it is alone"),
        ("planner", "Spending", PENDULUM, "a decision took 100 of a planner.budget of 50"),
        ("planner", "Unbounded", PENDULUM, "an action is not one of the task's"),
        ("planner", "Crashing", PENDULUM, "is out of bounds for axis 1 with size 10 (broken_parts"),
        ("planner", "Halving", CHAIN, "an action is not one of the task's Discrete(2)"),
        ("planner", "Faceless", PENDULUM, "Faceless has no late, init, plan: see Planner in"),
        ("world_model", "Traitless", PLANNED, "Traitless has no trains, begin, rollout"),
        ("world_model", "Meddling", PLANNED, "a rollout changes the state that it begins in"),
        ("world_model", "Uncounted", PLANNED, "of 24 transitions raises sim_steps by 0"),
        ("learner", "forgetful", ("task=pendulum", *SMALL), "from a checkpoint is another one"),
        ("learner", "exploring", ("task=pendulum", *SMALL), "greedy explores"),
        ("task", "Alike", ("agent=random",), "environment 2 of reset(seed=7) is not"),
        ("task", "Endless", ("agent=random",), "no end after 40 control steps"),
        ("task", "Going", ("agent=random",), "does not give the next one's observation"),
        ("task", "Blank", ("agent=random",), "Blank has no facts, num_envs, reset"),
        ("task", "Lonely", ("agent=random",), "RuntimeError: one is enough"),
        ("task", "Forgetting", ("agent=random",), "after restore(snapshot()) it goes on otherwise"),
    ],
)
def test_what_does_not(checked, part, name, words, said):
    code, out, _ = checked(f"{part}=mine", f"{part}._target_=broken_parts.{name}", *words)
    assert code == 1
    lines = out.splitlines()
    broken = [k for k, line in enumerate(lines) if line.startswith("BROKEN")]
    assert any(said in lines[k + 1] for k in broken), out
    assert lines[-1].endswith(f" checks, {len(broken)} broken")


def test_bad_input(checked, call, monkeypatch):
    code, out, err = checked("planner=nope")
    assert (code, out) == (2, "")
    assert "unknown planner 'nope'" in err
    code, _, err = call(check.main, "--config-dir", "nowhere", "task=pendulum")
    assert code == 2
    assert "there is no such folder" in err
    monkeypatch.setattr(learners, "MOST", 100)
    code, _, err = checked("learner=td3", "task=pendulum", "learner.warmup=1000")
    assert code == 2
    assert "no gradient step within 100 control steps" in err
    code, out, _ = call(check.main, "--help")
    assert code == 0
    assert "python -m suites.check planner=mine" in out


def test_what_does_not_learn_needs_no_torch():
    code = (
        "import sys; from suites import check;"
        "assert check.check(['planner=mpc', 'task=pendulum', 'planner.budget=400']) == 0;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
