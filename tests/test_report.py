"""What the page of all runs holds, against numbers made by hand."""

import json
import re
import shutil
from functools import partial
from itertools import combinations
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from reported import CURVES, REASON

from benchmarks import report_page
from suites import report
from suites.errors import UserError
from suites.points import Group
from suites.reporting.data import encode, link, packed, rounded, together
from suites.statistics import estimate


@pytest.fixture(scope="module")
def data(place):
    """What the page holds."""
    text = (place / "report.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def group(data, task, method):
    """The number of a group."""
    task, method = data["tasks"].index(task), data["methods"]["name"].index(method)
    rows = list(zip(data["groups"]["task"], data["groups"]["method"], strict=True))
    return rows.index((task, method))


# ---- the data ----


def test_scores_and_costs_by_hand(data):
    of, i = data["groups"], group(data, "walker-walk", "sac")
    assert of["seeds"][i] == [0, 1, 2, 3, 4]
    assert of["steps"][i] == [1000, 2000, 3000, 4000]
    assert of["score"][i] == CURVES.T.ravel().tolist()
    np.testing.assert_allclose(of["normalised"][i], CURVES.T.ravel() / 1000)
    costs = {name: column[i] for name, column in of["costs"].items()}
    assert costs["env_steps"] == [2000, 3000, 4000, 5000]  # an episode has 1000
    assert costs["sim_steps"] == costs["model_steps"] == 0
    acting = 1.1 * 1000 * 1e-4
    assert costs["cpu_seconds"] == pytest.approx([2 + acting, 4 + acting, 6 + acting, 8 + acting])
    assert costs["flops"] == [6e11, 1.2e12, 1.8e12, 2.4e12]
    assert costs["joules"] == pytest.approx([30 * (2 * k + 0.1) for k in range(1, 5)])
    assert costs["act_ms"] == pytest.approx(0.1)
    assert of["episode"]["env_steps"][i] == 1000
    assert of["episode"]["cpu_seconds"][i] == pytest.approx(acting)
    planner = group(data, "cheetah-run", "mpc-icem budget=2000")
    assert of["costs"]["sim_steps"][planner] == 2_000_000
    assert of["costs"]["act_ms"][planner] == pytest.approx(8)
    assert of["score"][planner] == [600, 640, 680]
    learned = group(data, "cheetah-run", "mbpo")
    assert of["costs"]["joules"][learned] is None
    assert of["costs"]["model_steps"][learned] == [4000, 8000, 12000, 16000]


def test_intervals_and_failures(data):
    of, i = data["groups"], group(data, "cheetah-run", "sac")
    told = estimate([CURVES[:, -1]])
    assert of["iqm"]["value"][i] == 500  # of 100, 400, 500, 600, 1000 the middle three
    assert of["iqm"]["low"][i] == pytest.approx(told.low, rel=1e-5)
    assert of["iqm"]["high"][i] == pytest.approx(told.high, rel=1e-5)
    assert of["iqm_normalised"]["high"][i] == pytest.approx(of["iqm"]["high"][i] / 1000)
    assert of["iqm"]["method"][i] == told.method
    few = group(data, "cheetah-run", "mpc-cem")
    assert (of["iqm"]["low"][few], of["iqm"]["high"][few]) == (None, None)
    assert "2 seeds" in of["iqm"]["method"][few]
    assert of["failed"][few] == 1
    assert sum(of["failed"]) == 1
    both = data["together"]
    k = both["method"].index(data["methods"]["name"].index("sac"))
    assert both["iqm_normalised"]["value"][k] == iqm_by_hand([*CURVES[:, -1], *CURVES[:, -1]])


def iqm_by_hand(scores):
    cut = len(scores) // 4
    return sum(sorted(scores)[cut : len(scores) - cut]) / (len(scores) - 2 * cut) / 1000


def test_what_a_method_is(data):
    of = data["methods"]
    assert of["name"] == ["mbpo", "mpc-cem", "mpc-icem budget=2000", "mpc-icem budget=500", "sac"]
    assert of["family"] == ["mbpo", "mpc-cem", "mpc-icem", "mpc-icem", "sac"]
    assert of["parts"][0] == ["none", "ensemble", "sac"]
    assert "planner.budget" in of["telling"][2]
    assert of["settings"][2]["planner.budget"] == "2000"
    assert "planner.discount" not in of["telling"][2]
    assert data["common"]["world_model.clairvoyant"] == "False"
    knows = data["groups"]["privileges"]
    assert knows[group(data, "cheetah-run", "mpc-cem")] == ["simulator"]
    assert knows[group(data, "cheetah-run", "mbpo")] == []


def test_what_does_not_count(data, place):
    of = data["left_out"]
    rows = list(zip(of["task"], of["agent"], of["seed"], of["status"], strict=True))
    assert rows == [
        ("cheetah-run", "mpc-cem", 7, "failed"),
        ("walker-walk", "sac", 8, "running"),
    ]
    assert of["reason"] == [REASON, None]
    assert of["evaluations"] == [0, 2]
    (line,) = of["lines"]
    assert "torn" in line
    assert all((place / unquote(path)).is_dir() for path in [*of["path"], *data["runs"]["path"]])
    (films,) = [videos for videos in data["runs"]["videos"] if videos]
    assert (place / unquote(films[0])).is_file()


def test_protocol(data):
    facts = data["protocol"]
    assert facts["machines"] == {"synthetic processor": len(data["runs"]["seed"])}
    assert set(facts["versions"]["mujoco"]) == {"3.17.0"}
    assert set(facts["tasks"]["cheetah-run"]["evaluation.seed"]) == {"the run's"}


def test_no_tag_in_the_data():
    text = encode({"a": "</script><!-- & é \u2028", "b": None})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!-- & é \u2028", "b": None}
    with pytest.raises(ValueError, match="JSON"):
        encode({"a": float("nan")})


def test_packing():
    assert rounded(np.array([123456.0, -0.00123456, 0.0, 1e-9]), 3).tolist() == [
        123000,
        -0.00123,
        0,
        1e-9,
    ]
    assert packed(np.full((2, 3), np.nan), 4) is None
    assert packed(np.full((2, 3), 7.0), 4) == 7
    assert packed(np.array([[1.0, 1.0], [2.0, 2.0]]), 4) == [1, 2]
    assert packed(np.array([[1.0, np.nan], [2.0, 2.5]]), 4) == [1, None, 2, 2.5]
    assert link(Path("/a/b c/d"), Path("/a/e")) == "../b%20c/d"


def test_sets_of_tasks():
    none = np.zeros(0, dtype=np.int64)
    ran = {"a": "xyz", "b": "xyz", "c": "xy", "d": "x", "alone": "xyzw"}
    found = [
        Group(method, method, task, (), none, none, none)
        for method, tasks in ran.items()
        for task in tasks
    ]
    # Four methods ran on two tasks, three on three, and one alone on four.
    assert together(found) == [["x", "y", "z"], ["x", "y"]]


@pytest.mark.filterwarnings("ignore:left out")
def test_command_line(place, call, tmp_path):
    reported = partial(call, report.main)
    page = tmp_path / "page.html"
    code, out, err = reported(str(place / "runs"), f"out={page}", "tasks=walker-walk", "title=Mine")
    assert (code, out) == (0, f"{page}: 0.1 MB\n")
    assert "seed8: running" in err
    assert '"tasks":["walker-walk"]' in page.read_text()
    assert '"title":"Mine"' in page.read_text()
    assert reported(str(place / "runs"), "out=page.txt")[2].endswith("a file that ends in .html\n")
    _, _, err = reported(str(place / "runs"), f"out={place}/runs/torn/manifest.json/a.html")
    assert "can't write" in err
    assert reported("out=a.html")[0] == 2
    code, out, _ = reported("--help")
    assert code == 0
    assert all(f"\n  {key}: " in out for key in report.KEYS)
    shutil.copytree(place / "runs", tmp_path / "runs")
    file = next((tmp_path / "runs/walker-walk/sac").glob("*/seed0/manifest.json"))
    file.write_text(file.read_text().replace("3.17.0", "3.16.0"))
    code, _, err = reported(str(tmp_path / "runs"), f"out={page}")
    assert code == 2
    assert "can't compare runs with mujoco" in err
    assert reported(str(tmp_path / "runs"), f"out={page}", "mix=versions")[0] == 0
    with pytest.raises(UserError, match="give a folder"):
        report.report([])


def test_names_in_the_scripts_are_unique():
    text = "\n".join((report.PAGE / name).read_text() for name in report.SCRIPTS)
    names = re.findall(r"^(?:function|const|let) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names)) > 50


# How eyes without one kind of cone see linear RGB: Machado, Oliveira and Fernandes 2009.
EYES = {
    "all cones": np.eye(3),
    "no long": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no medium": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "no short": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    x, y, z = np.cbrt(np.maximum(XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(axis=1), 0.001))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_stand_out(theme):
    style = (report.PAGE / "report.css").read_text()
    pairs = dict(re.findall(r"--(\w+): light-dark\((.*?)\)", style))
    shades = {name: linear(pair.split(", ")[theme]) for name, pair in pairs.items()}
    hues = [f"c{i}" for i in range(8)]
    for name, least in {**dict.fromkeys(hues, 3), "text": 7, "faint": 4.5}.items():
        for ground in ("page", "panel"):
            low, high = sorted(XYZ[1] @ shades[of] for of in (name, ground))
            assert (high + 0.05) / (low + 0.05) >= least, (name, ground)
    for eyes, seen in EYES.items():
        for a, b in combinations(hues, 2):
            apart = lab(np.array(seen) @ shades[a]) - lab(np.array(seen) @ shades[b])
            assert np.linalg.norm(apart) > 15, (a, b, eyes)


def test_benchmark(tmp_path, capsys):
    path = tmp_path / "page.json"
    report_page.main(["--quick", "--json", str(path)])
    (row,) = json.loads(path.read_text())["rows"]
    assert row["runs"] == 18
    assert row["peak MB"] > 0
    assert f"{row['peak MB']:,}" in capsys.readouterr().out
