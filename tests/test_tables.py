"""Cells and tables, in each of their formats."""

import csv
import io
import math

import pytest

from suites.statistics import Interval
from suites.tables import FORMATS, Table, number, text, told

SURE = Interval(0.5, 0.25, math.inf, "made up", 7, 3)
BARE = Interval(2.0, None, None, "too few", 2, 1)
TABLE = Table(
    "name",
    "A title",
    ("task_1", "score", "100%"),
    [("a|b", SURE, 3), ("c", BARE, None), ("d", None, 1.5)],
    ["note & more"],
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (3, "3"),
        (0.12345, "0.123"),
        (-99.96, "-100"),
        (1234.5, "1,234"),
        (2.5e13, "2.50e13"),
        (4e-5, "4.00e-5"),
        (math.inf, "never"),
        (math.nan, "-"),
        (None, "-"),
    ],
)
def test_numbers_in_few_characters(value, said):
    assert number(value) == said


def test_intervals():
    assert told(SURE) == "0.5 [0.25, never]"
    assert told(BARE) == "2"
    assert told(SURE, infinite="beyond") == "0.5 [0.25, beyond]"


def test_text_is_aligned():
    lines = text(TABLE).splitlines()
    assert lines[0] == "A title"
    assert lines[-1] == "note & more"
    header, first = lines[2], lines[4]
    assert header.index("score") + len("score") == first.index("never]") + len("never]")


def test_markdown_escapes_what_would_end_a_cell():
    lines = FORMATS["md"](TABLE).splitlines()
    assert lines[2] == "| task_1 | score | 100% |"
    assert lines[3] == "|---|---:|---:|"
    assert lines[4] == r"| a\|b | 0.5 [0.25, never] | 3 |"


def test_latex_escapes():
    made = FORMATS["tex"](TABLE)
    assert r"task\_1 & score & 100\% \\" in made
    assert r"\begin{tabular}{lrr}" in made
    assert "% note & more" in made


def test_csv_holds_the_exact_numbers():
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](TABLE))))
    assert rows[0]["score"] == "0.5"
    assert (rows[0]["score low"], rows[0]["score high"]) == ("0.25", "inf")
    assert (rows[0]["score interval"], rows[0]["score n"]) == ("made up", "7")
    assert (rows[1]["score low"], rows[2]["score"]) == ("", "")
    assert rows[2]["100%"] == "1.5"
