"""Reading what many runs recorded."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import yaml

from benchmarks.synthetic import TASKS, methods, write_run, write_runs
from suites.errors import UserError
from suites.points import AXES, points
from suites.results import check_comparable, distinct, load

pytest.importorskip("duckdb", reason="needs the extra `compare`")
SAC, _, MPC, *_ = methods(2, 1)


def rows_of(run):
    return [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]


def change(path, **said):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | said))


def test_rows_are_those_of_the_files_in_their_order(tmp_path):
    runs = [write_run(tmp_path, "cheetah-run", SAC, seed, [1.0, 5.0, 3.0]) for seed in (1, 0)]
    runs.append(write_run(tmp_path, "walker-walk", MPC, 0, [700.0]))
    found = load([tmp_path])
    assert {run.path for run in found.runs} == set(runs)
    assert found.first.tolist()[-1] == len(found.rows["score"]) == 7
    for i, run in enumerate(found.runs):
        written, before = rows_of(run.path), None
        for row, k in zip(written, range(*found.of(i).indices(7)), strict=True):
            assert found.rows["score"][k] == row["score"]
            assert found.rows["normalised"][k] == row["score"] / 1000
            assert found.rows["cpu_seconds"][k] == row["cpu_seconds"]
            spent = row["evaluation_act_seconds"] - (before or {}).get("evaluation_act_seconds", 0)
            assert found.rows["evaluation_act_seconds"][k] == pytest.approx(spent / 10)
            before = row


def test_a_point_has_the_costs_of_training_and_one_episode(tmp_path):
    for seed in range(3):
        write_run(tmp_path, "cheetah-run", SAC, seed, [100.0 * seed, 200.0])
        write_run(tmp_path, "cheetah-run", MPC, seed, [700.0 + seed])
    *learned, planned = sorted(points(load([tmp_path])), key=lambda p: (p.method, p.env_steps))[
        ::-1
    ]
    first, last = sorted(learned, key=lambda p: p.env_steps)
    assert (first.env_steps, last.env_steps) == (250_000, 500_000)
    assert (first.final, last.final, planned.final) == (False, True, True)
    assert first.scores.tolist() == [0.0, 100.0, 200.0]
    assert last.costs["env_steps"].tolist() == [501_000.0] * 3
    assert last.train["cpu_seconds"][0] == pytest.approx(500_000 * SAC.cpu)  # compilation apart
    assert last.act["cpu_seconds"][0] == pytest.approx(1.1 * 1000 * SAC.act)
    assert planned.costs["sim_steps"].tolist() == [1000.0 * MPC.budget] * 3
    assert planned.costs["act_ms"] == pytest.approx(1000 * MPC.act)
    assert planned.privileges == ("simulator",)
    assert last.privileges == ()
    assert set(last.costs) == set(AXES)


def test_who_is_told_the_reward_is_another_method_than_those_of_before(tmp_path):
    learned = dataclasses.replace(SAC, agent="pets", model=4)  # without the key, as it once was
    for seed in range(6):
        run = write_run(tmp_path, "cheetah-run", learned, seed, [100.0 + seed])
        if seed >= 3:
            told = json.loads((run / "manifest.json").read_text())["config"]
            told["world_model"]["reward"] = "task"
            change(run / "manifest.json", config=told)
    one, two = sorted(points(load([tmp_path])), key=lambda point: point.method)
    assert (one.method, one.privileges) == ("pets reward=learned", ())
    assert (two.method, two.privileges) == ("pets reward=task", ("reward",))


def test_points_stand_where_all_seeds_were_evaluated(tmp_path):
    write_run(tmp_path, "cheetah-run", SAC, 0, [1.0, 2.0, 3.0, 4.0], total=400)
    write_run(tmp_path, "cheetah-run", SAC, 1, [5.0, 6.0], total=400)
    found = points(load([tmp_path]))
    assert [(p.env_steps, p.scores.tolist()) for p in found] == [
        (200, [2.0, 5.0]),
        (400, [4.0, 6.0]),
    ]


def planned(run, *steps, total=501, every=250):
    """Evaluations after these control steps, of a training that was to be evaluated regularly."""
    config = json.loads((run / "manifest.json").read_text())["config"]
    config["budget"]["env_steps"] = total
    config["evaluation"]["every"] = every
    change(run / "manifest.json", config=config)
    lines = [row | {"env_steps": at} for row, at in zip(rows_of(run), steps, strict=True)]
    (run / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return run


def test_a_part_of_a_decision_too_many_is_no_other_evaluation(tmp_path):
    for seed, steps in enumerate(((0, 251, 501), (0, 250, 502), (1, 251, 501))):
        planned(write_run(tmp_path, "cheetah-run", SAC, seed, [1.0 + seed, 2.0, 3.0]), *steps)
    found = load([tmp_path])
    made = points(found)
    assert [(p.env_steps, p.final, p.scores.tolist()) for p in made] == [
        (0, False, [1.0, 2.0, 3.0]),
        (250, False, [2.0, 2.0, 2.0]),
        (501, True, [3.0, 3.0, 3.0]),
    ]
    assert made[-1].train["env_steps"].tolist() == [501, 502, 501]  # what it cost
    assert all(found.curve(i)[0].tolist() == [0, 250, 501] for i in range(3))


def test_one_seed_that_was_evaluated_twice_is_one(tmp_path):
    config = {"episodes": 20, "seed": 0, "every": 100}
    for seed in range(3):
        write_run(tmp_path, "cheetah-run", SAC, seed, [1.0, 2.0])
    longer = tmp_path / "again" / "cheetah-run" / "sac" / "another" / "seed0"
    shutil.copytree(next(tmp_path.glob("cheetah-run/sac/*/seed0")), longer)
    told = json.loads((longer / "manifest.json").read_text())["config"]
    change(longer / "manifest.json", config=told | {"evaluation": config}, config_hash="another")
    lines = [row | {"returns": [5.0] * 20, "score": 5.0} for row in rows_of(longer)]
    (longer / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    with pytest.warns(UserWarning, match="left out .* is the same seed"):
        found = distinct(load([tmp_path]))
    (last,) = (p for p in points(found) if p.final)
    assert sorted(zip(last.seeds, last.scores, strict=True)) == [(0, 5.0), (1, 2.0), (2, 2.0)]


def test_what_an_evaluation_took_is_unknown_where_the_one_before_is_lost(tmp_path):
    run = write_run(tmp_path, "cheetah-run", SAC, 0, [1.0, 2.0, 3.0])
    rows = [json.dumps(row | {"lengths": [1000] * 10}) for row in rows_of(run)]
    (run / "evaluations.jsonl").write_text("\n".join([rows[0], "{broken", rows[2], ""]))
    with pytest.warns(UserWarning, match="line 2 is damaged"):
        found = load([tmp_path])
    assert found.rows["evaluation_decisions"].tolist() == pytest.approx([1000, np.nan], nan_ok=True)
    (run / "evaluations.jsonl").write_text("\n".join([*rows, ""]))
    assert load([tmp_path]).rows["evaluation_decisions"].tolist() == [1000, 1000, 1000]


@pytest.mark.parametrize(
    ("name", "beside"),
    [("env_steps=777", "b"), ("score=5", "b"), ("a*b", "aXb"), ("a?b", "a*b"), ("[x]", "x")],
)
def test_a_folder_may_have_any_name(tmp_path, name, beside):
    for where, score in ((name, 1.0), (beside, 2.0)):
        write_run(tmp_path / where, "cheetah-run", SAC, 0, [score])
    found = load([tmp_path / name])
    assert found.rows["score"].tolist() == [1.0]
    assert found.rows["env_steps"].tolist() == [500_000.0]


def test_an_experiment_may_have_the_name_of_a_folder_of_runs(tmp_path):
    write_run(tmp_path / "video", "cheetah-run", SAC, 0, [1.0])
    assert len(load([tmp_path]).runs) == 1


def test_a_label_may_be_a_number(tmp_path):
    label(write_run(tmp_path, "cheetah-run", SAC, 0, [1.0]), 1000)
    assert [point.method for point in points(load([tmp_path]))] == ["1000"]


def test_methods_are_told_apart_by_what_differs_on_a_task(tmp_path):
    small, large = methods(0, 1)[:2]
    for task, method in (("cheetah-run", small), ("cheetah-run", large), ("walker-walk", large)):
        write_run(tmp_path, task, method, 0, [1.0])
    write_run(tmp_path, "cheetah-run", SAC, 0, [1.0])
    found = load([tmp_path])
    names = {(run.task, name) for run, name in zip(found.runs, found.methods, strict=True)}
    assert names == {
        ("cheetah-run", "mpc-icem budget=500"),
        ("cheetah-run", "mpc-icem budget=1000"),
        ("walker-walk", "mpc-icem budget=1000"),
        ("cheetah-run", "sac"),
    }
    assert {p.family for p in points(found)} == {"mpc-icem", "sac"}


def label(run, name):
    config = json.loads((run / "manifest.json").read_text())["config"]
    change(run / "manifest.json", config=config | {"label": name})


def test_a_variants_label_is_its_name(tmp_path):
    label(write_run(tmp_path, "cheetah-run", SAC, 0, [1.0]), "large")
    write_run(tmp_path, "cheetah-run", SAC, 1, [1.0])  # the same run, made without the sweep
    assert load([tmp_path]).methods == ["large", "large"]


def test_labels_that_end_in_the_budget_are_one_family(tmp_path):
    for method in methods(0, 1)[:2]:
        write_run(tmp_path, "cheetah-run", method, 0, [1.0])  # not of the sweep
        label(write_run(tmp_path, "cheetah-run", method, 1, [1.0]), f"plan-{method.budget}")
    found = points(load([tmp_path]))
    assert {(p.method, p.family) for p in found} == {("plan-500", "plan"), ("plan-1000", "plan")}


def test_a_label_of_two_methods_names_neither(tmp_path):
    for method in methods(0, 1)[:2]:
        label(write_run(tmp_path, "cheetah-run", method, 0, [1.0]), "mpc")
    assert sorted(load([tmp_path]).methods) == ["mpc-icem budget=1000", "mpc-icem budget=500"]


def test_of_two_copies_the_longer_one(tmp_path):
    run = write_run(tmp_path / "a", "cheetah-run", SAC, 0, [1.0, 2.0])
    copy = tmp_path / "b" / run.relative_to(tmp_path / "a")
    shutil.copytree(run, copy)
    lines = (run / "evaluations.jsonl").read_text().splitlines(keepends=True)
    (run / "evaluations.jsonl").write_text(lines[0])
    (found,) = load([tmp_path]).runs
    assert found.path == copy
    change(copy / "status.json", status="running")  # of an unfinished and a finished one the latter
    (found,) = load([tmp_path]).runs
    assert found.path == run


def test_a_torn_last_line_is_dropped_with_a_warning(tmp_path):
    run = write_run(tmp_path, "cheetah-run", SAC, 0, [1.0, 2.0, 3.0])
    whole = (run / "evaluations.jsonl").read_bytes()
    (run / "evaluations.jsonl").write_bytes(whole[:-40])
    with pytest.warns(UserWarning, match="dropped a torn last line"):
        found = load([tmp_path])
    assert found.rows["score"].tolist() == [1.0, 2.0]
    assert (run / "evaluations.jsonl").read_bytes() == whole[:-40]  # a reader mends nothing


def test_a_damaged_line_is_told_and_the_others_are_used(tmp_path):
    run = write_run(tmp_path, "cheetah-run", SAC, 0, [1.0, 2.0, 3.0])
    lines = (run / "evaluations.jsonl").read_text().splitlines(keepends=True)
    (run / "evaluations.jsonl").write_text(lines[0] + "{broken\n" + lines[2])
    with pytest.warns(UserWarning, match="line 2 is damaged"):
        found = load([tmp_path])
    assert found.rows["score"].tolist() == [1.0, 3.0]


def test_foreign_files_are_left_out_with_a_warning(tmp_path):
    write_run(tmp_path, "cheetah-run", SAC, 0, [1.0])
    for name, content in {
        "strange/manifest.json": '{"name": "an app"}',
        "broken/manifest.json": "not even JSON",
        "rows/evaluations.jsonl": '{"accuracy": 0.9}\n',
        "notes.txt": "hello",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.warns(UserWarning, match="left out") as told:
        found = load([tmp_path])
    assert len(found.runs) == 1
    said = "\n".join(str(warning.message) for warning in told)
    assert all(f"left out {tmp_path / name}" in said for name in ("strange", "broken", "rows"))


def test_both_formats_of_records_are_read(tmp_path):
    new = write_run(tmp_path, "cheetah-run", SAC, 0, [250.0])
    old = write_run(tmp_path, "cheetah-run", SAC, 1, [500.0])
    manifest = json.loads((old / "manifest.json").read_text())
    (old / "config.yaml").write_text(yaml.safe_dump(manifest["config"]))
    kept = {name: manifest[name] for name in ("config_hash", "starts")}
    (old / "manifest.json").write_text(json.dumps(kept))
    (row,) = rows_of(old)
    del row["reference"]
    (old / "evaluations.jsonl").write_text(json.dumps(row) + "\n")
    found = load([tmp_path])
    assert {run.path: run.seed for run in found.runs} == {new: 0, old: 1}
    assert sorted(found.rows["normalised"]) == [0.25, 0.5]
    assert len(set(found.methods)) == 1


def test_a_newer_format_is_left_out(tmp_path):
    write_run(tmp_path, "cheetah-run", SAC, 0, [1.0])
    run = write_run(tmp_path, "cheetah-run", SAC, 1, [1.0])
    change(run / "manifest.json", format=99)
    with pytest.warns(UserWarning, match="format 99 is of a newer version"):
        assert [run.seed for run in load([tmp_path]).runs] == [0]


def test_what_was_not_scored_alike_is_refused(tmp_path):
    sticky = write_run(tmp_path, "pong", SAC, 0, [1.0])
    never = write_run(tmp_path, "pong", SAC, 1, [1.0])
    for run, share, skip in ((sticky, 0.25, 4), (never, 0.0, 15)):
        config = json.loads((run / "manifest.json").read_text())["config"]
        task = {"name": "pong", "sticky": share, "frame_skip": skip}
        change(run / "manifest.json", config=config | {"task": task})
    found = load([tmp_path])
    with pytest.raises(UserError, match=r"pong: can't compare runs with sticky 0.25 .* mix=sticky"):
        check_comparable(found)
    check_comparable(found, ["sticky"])
    check_comparable(found.keep([run.path == sticky for run in found.runs]))


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        (
            {"world_model": {"_target_": "world_models.simulator.Simulator", "clairvoyant": True}},
            "clairvoyant",
        ),
        ({"evaluation": {"episodes": 10, "seed": 77}}, "protocol"),
    ],
)
def test_each_kind_of_difference(tmp_path, changed, kind):
    write_run(tmp_path, "cheetah-run", MPC, 0, [1.0])
    run = write_run(tmp_path, "cheetah-run", MPC, 1, [1.0])
    config = json.loads((run / "manifest.json").read_text())["config"]
    change(run / "manifest.json", config=config | changed)
    found = load([tmp_path])
    with pytest.raises(UserError, match=f"mix={kind}"):
        check_comparable(found)
    check_comparable(found, [kind])


def test_other_versions_of_the_world_are_refused(tmp_path):
    write_run(tmp_path, "cheetah-run", SAC, 0, [1.0])
    run = write_run(tmp_path, "cheetah-run", SAC, 1, [1.0])
    start = json.loads((run / "manifest.json").read_text())["starts"][0]
    change(run / "manifest.json", starts=[start | {"versions": {"mujoco": "4.0.0"}}])
    with pytest.raises(UserError, match=r"mujoco 3.17.0 .* and 4.0.0 .* mix=versions"):
        check_comparable(load([tmp_path]))


def test_where_there_are_no_runs(tmp_path):
    with pytest.raises(UserError, match="no runs in"):
        load([tmp_path])
    with pytest.raises(UserError, match="is no folder"):
        load([tmp_path / "absent"])
    write_run(tmp_path, "cheetah-run", SAC, 0, [])
    with pytest.raises(UserError, match="none of these runs has been evaluated"):
        load([tmp_path])


def test_many_runs_are_all_there(tmp_path):
    count = write_runs(tmp_path, methods(2, 1), TASKS[:2], seeds=3, evaluations=5)
    found = load([tmp_path])
    assert len(found.runs) + len(found.unfinished) == count
    assert np.isfinite(found.rows["score"]).all()
    assert np.isnan(found.rows["joules"]).sum() == 0
