"""Published scores are all readable, and have their sources."""

import math

import pytest

from suites import published
from suites.errors import UserError
from suites.tasks.control_names import TASKS


def test_every_row_is_whole():
    rows = published.everything()
    assert len(rows) > 6000
    assert {row.kind for row in rows} == {"learned", "planned", "reference"}
    for row in rows:
        assert row.source
        assert row.method
        assert math.isfinite(row.score)
        assert row.spread is None or row.spread >= 0
        assert row.env_steps is None or row.env_steps > 0
        if row.kind == "planned":
            assert row.env_steps is None
    control = {row.task for row in rows if "-" in row.task}
    assert len(control & set(TASKS)) > 20
    scores = [row.score for row in rows if row.task in TASKS]
    assert min(scores) >= -10
    assert max(scores) <= 1000


def test_steps_are_control_steps():
    (dreamer,) = (
        row
        for row in published.select(["pong"], ["DreamerV3 (author scores)"])
        if row.env_steps == 50_000_000
    )
    assert dreamer.score == 20.46  # after 200 million frames
    (sac,) = (
        row for row in published.select(["cheetah-run"], ["SAC (Sim"]) if row.env_steps == 100_000
    )
    assert (sac.score, sac.normalised) == (177.8, 0.1778)
    assert "SimbaV2" in sac.source


def test_data_efficient_rainbow_is_there():
    (row,) = published.select(["boxing"], ["DER"])
    assert (row.score, row.env_steps) == (0.2, 100_000)
    assert "van Hasselt" in row.source
    assert len({row.task for row in published.everything() if row.method == "DER"}) == 26


def test_human_and_random_are_one_and_zero():
    for name, value in (("Random", 0.0), ("Human gamer", 1.0)):
        (row,) = (r for r in published.select(["pong"], [name]) if r.method == name)
        assert row.normalised == pytest.approx(value)


def test_a_name_that_nobody_has():
    with pytest.raises(UserError, match=r"nobody's scores begin with 'XYZ'; published .* SAC"):
        published.select(["cheetah-run"], ["XYZ"])
