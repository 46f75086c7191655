"""Claims: their yamls, what runs make of them, and one from end to end."""

import json
from functools import partial
from pathlib import Path

import pytest
import yaml

from suites import claim as command
from suites.assembly import CONF
from suites.claims import design, report
from suites.claims.judge import judge
from suites.claims.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED
from suites.sweeps.command import make_jobs
from suites.sweeps.grid import expand
from suites.tasks import registry

NAMES = design.names()


def setting(kind="difference", arms=(("x", "y"),), rule="above", margin=0.0, **more) -> design.Test:
    return design.Test(kind, tuple(arms), rule, margin, **more)


# ---- the yamls ----


def test_there_are_ten_claims_in_order():
    assert len(NAMES) == 10
    numbers = [yaml.safe_load((design.FOLDER / f"{name}.yaml").read_text()) for name in NAMES]
    assert [one["number"] for one in numbers] == list(range(1, 11))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", design.BUDGETS)
def test_every_arm_composes(name, budget, tmp_path):
    claim = design.load(name, budget)
    found = expand(claim.words(str(tmp_path), None), [claim.folder(str(tmp_path))])
    first: dict[str, list[str]] = {}
    seeds: dict[tuple[str, str], int] = {}
    for words in found:
        said = dict(word.split("=", 1) for word in words)
        first.setdefault(said["label"], words)
        assert said["task"] in registry.names()
        key = said["label"], said["task"]
        seeds[key] = seeds.get(key, 0) + 1
    jobs = make_jobs(list(first.values()), None)
    assert {job.method for job in jobs} == set(claim.runs["variants"]) == set(claim.test.arms)
    assert min(seeds.values()) >= 5  # with fewer there is no verdict
    assert claim.limits


def test_docs_tell_every_claim():
    page = (CONF.parent / "docs" / "claims.md").read_text()
    for name in NAMES:
        assert f"`{name}`" in page


# ---- from run directories ----


def leave(job, curve, status="done", cpu=60.0):
    """A run directory as `suites.run` leaves it, with an evaluation for each (steps, score)."""
    job.path.mkdir(parents=True)
    counted = ("env_steps", "decisions", "sim_steps", "model_steps", "flops", "cpu_seconds",
               "compile_seconds", "gpu_seconds", "joules", "act_seconds")  # fmt: skip
    ledger = {f"{p}{name}": 0.0 for name in counted for p in ("", "evaluation_")}
    ledger |= {"cpu_seconds": cpu, "joules": None, "reference": {"random": 0.0, "best": 2.0}}
    rows = [
        {**ledger, "env_steps": steps, "score": score, "returns": [score]} for steps, score in curve
    ]
    for k, row in enumerate(rows):
        row["evaluation_decisions"] = 10.0 * (k + 1)
    settings = {"label": job.method, "task": {"name": job.task}, "evaluation": {"seed": job.seed}}
    start = {"versions": {}, "machine": {"processor": "P"}}
    manifest = {"format": 2, "config_hash": job.path.parent.name, "task": job.task, "agent": "a",
                "seed": job.seed, "config": settings, "starts": [start]}  # fmt: skip
    (job.path / "manifest.json").write_text(json.dumps(manifest))
    (job.path / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (job.path / "status.json").write_text(json.dumps({"status": status, "reason": "it broke"}))
    if status == "done":
        summary = {"score": curve[-1][1], "ledger": rows[-1]}
        (job.path / "summary.json").write_text(json.dumps(summary))


def toy(test: design.Test, **variants) -> design.Claim:
    grid = {"task": "toy-chain", "seed": "range(6)"}
    arms = variants or {"x": ["planner=mcts"], "y": ["agent=random"]}
    content = {"grid": grid, "variants": arms}
    return design.Claim("toy", "laptop", "A claim.", "A source.", "Limits.", test, content)


def test_scores_of_runs_make_the_verdict(tmp_path):
    claim = toy(setting())
    jobs = claim.jobs(str(tmp_path), None)
    assert len(jobs) == 12
    for job in jobs:
        leave(job, [(0, 0.0), (100, 1.0 + 0.1 * job.seed if job.method == "x" else 0.5)])
    record = judge(claim, jobs)
    (one,) = record["comparisons"]
    assert one["effect"] == pytest.approx((1.25 - 0.5) / 2)  # the reference's best score is 2
    assert (record["verdict"], one["seeds"], one["runs"]) == (SUPPORTED, 6, 12)
    assert record["cpu_seconds"] == pytest.approx(12 * 60)
    assert record["waiting"] == []
    assert record["failed"] == {}
    arms = {row["arm"]: row for row in record["arms"]}
    assert arms["x"]["mean"] == pytest.approx(0.625)
    assert arms["x"]["training_env_steps"] == 100
    swapped = toy(setting(arms=[("y", "x")]))
    assert judge(swapped, swapped.jobs(str(tmp_path), None))["verdict"] == CONTRADICTED


def test_area_and_steps_of_curves(tmp_path):
    claim = toy(setting(of="area"))
    jobs = claim.jobs(str(tmp_path), None)
    for job in jobs:
        # Both end at 2; x is there at half of the training, y at its end.
        leave(job, [(0, 0.0), (50, 2.0 if job.method == "x" else 0.0), (100, 2.0)])
    (one,) = judge(claim, jobs)["comparisons"]
    assert one["effect"] == pytest.approx(0.75 - 0.25)
    (one,) = judge(toy(setting(of="steps", threshold=0.5)), jobs)["comparisons"]
    assert one["effect"] == pytest.approx(0.5)  # of the training
    (one,) = judge(toy(setting(of="steps", threshold=1.5)), jobs)["comparisons"]
    assert one["effect"] == 0  # neither arrives: censored at the same budget


def test_arms_on_other_tasks_meet_in_order(tmp_path):
    variants = {
        "x": {"overrides": ["agent=random"], "grid": {"task": ["toy-slide", "catch"]}},
        "y": {"overrides": ["agent=random"], "grid": {"task": ["toy-chain", "cartpole"]}},
    }
    claim = toy(setting(), **variants)
    jobs = claim.jobs(str(tmp_path), None)
    worth = {"toy-slide": 1.0, "catch": 2.0, "toy-chain": 0.2, "cartpole-balance": 0.4}
    worth["cartpole-swingup"] = 0.4
    for job in jobs:
        leave(job, [(0, worth[job.task])])
    (one,) = judge(claim, jobs)["comparisons"]
    assert one["effect"] == pytest.approx(0.75 - 0.15)


def test_failing_runs_are_told_and_the_others_decide(tmp_path):
    claim = toy(setting())
    jobs = claim.jobs(str(tmp_path), None)
    for job in jobs:
        if (job.method, job.seed) == ("y", 5):
            leave(job, [(0, 0.0)], status="failed")
        elif (job.method, job.seed) != ("x", 0):
            leave(job, [(0, 2.0 if job.method == "x" else 1.0)])
    record = judge(claim, jobs)
    assert record["verdict"] == SUPPORTED
    assert record["done"] == 10
    assert record["failed"] == {"toy-chain y seed5": "it broke"}
    assert record["waiting"] == ["toy-chain x seed0"]
    said = report.told(record)
    assert "toy-chain y seed5: it broke" in said
    assert "1 of 12 runs are yet to be made" in said


def test_an_interrupted_run_is_yet_to_be_made(tmp_path):
    claim = toy(setting())
    jobs = claim.jobs(str(tmp_path), None)
    for job in jobs:
        broken = (job.method, job.seed) == ("y", 5)
        leave(job, [(0, 2.0 if job.method == "x" else 1.0)], "failed" if broken else "done")
        if broken:
            said = {"status": "failed", "reason": "interrupted"}
            (job.path / "status.json").write_text(json.dumps(said))
    record = judge(claim, jobs)
    assert record["failed"] == {}
    assert record["waiting"] == ["toy-chain y seed5"]


def test_an_arm_without_runs_is_undecided(tmp_path):
    claim = toy(setting())
    jobs = claim.jobs(str(tmp_path), None)
    for job in jobs:
        if job.method == "x":
            leave(job, [(0, 2.0)])
    assert judge(claim, jobs)["verdict"] == UNDECIDED


def test_the_table_of_all_verdicts(tmp_path):
    claim = toy(setting())
    jobs = claim.jobs(str(tmp_path), None)
    for job in jobs:
        leave(job, [(0, 2.0 if job.method == "x" else 1.0)])
    report.write(judge(claim, jobs), claim.folder(str(tmp_path)))
    stored = report.collect(tmp_path, tmp_path / "results")
    assert [record["verdict"] for record in stored] == [SUPPORTED]
    table = (tmp_path / "results" / "claims.md").read_text()
    row = next(line for line in table.splitlines() if line.startswith("| toy |"))
    assert "**supported**" in row
    assert "x against y: 0.5 [0.5, 0.5]" in row
    assert "| 12 |" in row
    assert report.collect(tmp_path / "nowhere", tmp_path / "results") == stored


# ---- the command line ----


@pytest.fixture
def said(call):
    return partial(call, command.main)


@pytest.fixture
def own(monkeypatch, tmp_path):
    """A folder of claims of one's own."""
    folder = tmp_path / "claim"
    folder.mkdir()
    monkeypatch.setattr(design, "FOLDER", folder)

    def write(**changes):
        arms = {"x": ["agent=random"], "y": ["planner=mcts", "planner.budget=50"]}
        runs = {"grid": {"task": "toy-chain", "seed": "range(5)"}, "variants": arms}
        content = {
            "claim": "A claim.",
            "source": "A source.",
            "limits": "Limits.",
            "test": {"kind": "difference", "compare": [["x", "y"]], "rule": "above", "margin": 0.0},
            "budgets": {"laptop": {"runs": runs}},
        }
        for key, value in changes.items():
            *way, last = key.split("__")
            node = content
            for name in way:
                node = node[name]
            node[last] = value
        (folder / "mine.yaml").write_text(yaml.safe_dump(content))

    write()
    return write


def test_help_lists_all_claims(said):
    code, out, _ = said("--help")
    assert code == 0
    for name in NAMES:
        assert f"  {name}" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ten_seed"], "unknown claim 'ten_seed': choose one of ten_seeds"),
        (["ten_seeds", "budget=huge"], "budget is 'huge'"),
        (["ten_seeds", "seed=3"], "unknown key 'seed'"),
        (["ten_seeds", "seeds=none"], "seeds is 'none': give a whole number"),
        (["ten_seeds", "random_seed"], "give the name of one claim, or all"),
        (["ten_seeds", "run=false"], "ten_seeds: no run is done yet"),
    ],
)
def test_mistakes_are_told_in_one_line(said, tmp_path, words, told):
    code, _, error = said(*words, f"runs_dir={tmp_path}")
    assert code == 2
    assert error.startswith("error: ")
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"test__compare": [["x", "z"]]}, "'z' is compared, and is no arm of budget laptop"),
        ({"test__compare": [["x"]]}, "for difference give [[x, y], ...]"),
        ({"test__kind": "feeling"}, "test.kind is 'feeling': choose one of difference"),
        ({"test__rule": "near"}, "test.rule is 'near': choose one of above, apart"),
        ({"test__of": "last"}, "test.of is 'last'"),
        ({"test__margin": "much"}, "test.margin is 'much'"),
        ({"test__of": "steps"}, "test.threshold is missing"),
        ({"test__threshold": 0.5}, "test.threshold is for `failures` and `of: steps` alone"),
        ({"test__marge": 0}, "unknown key 'test.marge'"),
        ({"verdict": "supported"}, "unknown key 'verdict'"),
        ({"source": ""}, "give the claim in one sentence, and its source"),
        ({"budgets": {"full": {}}}, "no budget 'laptop': choose one of full"),
        ({"budgets__laptop__runs__variants": ["agent=random"]}, "has no variants, the arms"),
        ({"budgets__laptop__runs__variants__y": ["agent=random"]}, "of 'y' are those of another"),
        ({"budgets__laptop__runs__variants__y": ["planner=none", "oops=1"]}, "unknown key 'oops'"),
    ],
)
def test_a_yaml_that_makes_no_sense_is_refused(said, own, tmp_path, changes, told):
    own(**changes)
    code, _, error = said("mine", f"runs_dir={tmp_path}")
    assert code == 2
    assert told in error
    assert error.count("\n") <= 2  # the sweep warns of runs that are the same


def test_a_claim_from_end_to_end(said, own, tmp_path, monkeypatch):
    """A run, and one that fails; again, and in the table of all."""
    monkeypatch.chdir(CONF.parent)
    own(
        test={"kind": "failures", "compare": [["x"], ["y"]], "threshold": 0.9, "needs": "any",
              "rule": "above", "margin": 0.2},
        budgets__laptop__runs__grid__seed=0,
        budgets__laptop__runs__variants__y=["agent=random", "planner.repeat=-1"],
    )  # fmt: skip
    words = ["mine", f"runs_dir={tmp_path}", f"out={tmp_path / 'results'}", "workers=2"]
    code, out, error = said(*words)
    folder = tmp_path / "claims" / "mine-laptop"
    record = json.loads((folder / "verdict.json").read_text())
    assert code == 1
    assert "failed" in error
    assert len(record["failed"]) == 1
    assert "repeat" in next(iter(record["failed"].values()))
    assert record["comparisons"][0]["seeds"] == 1
    assert record["verdict"] == UNDECIDED
    assert f"VERDICT: {record['verdict']}" in out
    assert (folder / "verdict.md").exists()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")}
    assert len(before) == 1
    code, again, _ = said(*words, "run=false")
    assert code == 0
    assert again == out[out.index("A claim.") :]
    assert said("all", *words[1:])[0] == 0  # it has its verdict
    assert "mine" in (tmp_path / "results" / "claims.md").read_text()
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")}
    assert Path(tmp_path, "results", "claims", "mine-laptop.json").exists()
