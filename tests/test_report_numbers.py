"""The numbers that the page of all runs works out itself are those of the suite."""

import numpy as np
import pytest

from suites.frontier import membership, pareto
from suites.statistics import estimate, iqm, mean


def test_statistics_are_those_of_the_suite(visit):
    tab = visit()
    for name, of in {"iqm": iqm, "mean": mean}.items():
        found = tab.evaluate(
            "name => VIEWS.filter((view) => !view.together).flatMap(seriesOf).flatMap("
            "(series) => series.at.map((of) => [[...of.values], estimate(of, name)]))",
            name,
        )
        assert len(found) > 20
        for values, told in found:
            wanted = estimate([np.array(values)], of)
            assert told["value"] == pytest.approx(wanted.value)
            if wanted.low is None:
                assert (told["low"], told["high"]) == (None, None)
            else:
                assert (told["low"], told["high"]) == pytest.approx((wanted.low, wanted.high))


def test_tasks_together_are_resampled_independently(visit):
    found = visit().evaluate(
        "seriesOf(VIEWS.find((view) => view.together)).map((series) => series.at.at(-1)).map("
        "(of) => [[...of.values], of.groups.map((g) => g.seeds.length), estimate(of, 'iqm')])"
    )
    assert len(found) == 5
    for values, sizes, told in found:
        wanted = estimate(np.split(np.array(values), np.cumsum(sizes)[:-1]))
        assert told["value"] == pytest.approx(wanted.value)
        if wanted.low is not None and wanted.high is not None:
            width = wanted.high - wanted.low
            assert told["low"] == pytest.approx(wanted.low, abs=0.15 * width)
            assert told["high"] == pytest.approx(wanted.high, abs=0.15 * width)


def test_pareto_is_that_of_the_suite(visit):
    tab, rng = visit(), np.random.default_rng(0)
    for _ in range(20):
        cost, score = rng.integers(0, 12, (2, 30))
        on = tab.evaluate(
            "([cost, score]) => [...pareto(cost, score, [...cost.keys()], new Uint8Array(30))]",
            [cost.tolist(), score.tolist()],
        )
        assert on == pareto(cost, score).astype(int).tolist()


def test_membership_is_that_of_the_suite(visit):
    told = visit().evaluate(
        "(() => { const view = VIEWS[0], { points } = frontierPoints(view, 'cpu_seconds', 'iqm',"
        " (method) => !method.name.startsWith('sac') && !method.name.startsWith('mbpo'));"
        " const { shares, count } = membership(points, 'cpu_seconds', 'iqm');"
        " return points.map((p, i) => ({ name: p.series.method.name, on: p.on, share: shares[i],"
        " count, values: [...p.strata.values], costs: [...p.series.groups[0].cost('cpu_seconds')]"
        " })); })()"
    )
    assert [point["name"] for point in told] == [
        "mpc-cem",
        *[f"mpc-icem budget={b}" for b in (2000, 500)],
    ]
    assert [point["on"] for point in told] == [False, True, True]
    sure = told[1:]  # the first has two seeds
    assert np.isnan(told[0]["share"])
    wanted = membership(
        [[np.array(point["costs"])] for point in sure],
        [[np.array(point["values"])] for point in sure],
    )
    assert [point["share"] for point in sure] == pytest.approx(wanted.fraction, abs=0.03)
    assert sure[0]["count"] == 2000


def test_scales(visit):
    tab = visit()
    ticks = "([values, log]) => ticks(scale(values, 0, 800, log), 80)"
    assert tab.evaluate(ticks, [[3, 20000], True])["major"] == [10, 100, 1000, 10000]
    assert tab.evaluate(ticks, [[0, 100], False])["major"] == [0, 20, 40, 60, 80, 100]
    assert tab.evaluate(ticks, [[30, 90], True])["major"] == [40, 60, 80]
    assert tab.evaluate(ticks, [[1.58e6, 1.6e6], True])["major"][0] % 1000 == 0
    assert tab.evaluate(ticks, [[30, 300], True])["major"] == [100, 50, 200]
    at = "([values, x]) => { const s = scale(values, 50, 800, true); return [s.at(x), s.start] }"
    zero, start = tab.evaluate(at, [[0, 1, 100], 0])
    assert 50 < zero < start < tab.evaluate(at, [[0, 1, 100], 1])[0]
    short = "x => short(x)"
    said = {1234: "1.23k", 999.7: "1k", 2.5e7: "25M", 0: "0", 0.05: "0.05", 3e13: "30T"}
    assert {x: tab.evaluate(short, x) for x in said} == said
