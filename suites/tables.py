"""Tables for the terminal, Markdown, LaTeX and CSV."""

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from suites.statistics import Interval

Cell = str | float | int | Interval | None


@dataclass(frozen=True)
class Table:
    """Rows of cells under named columns.

    Attributes:
      name: Of its file. `title` for people.
      notes: Lines below it: what intervals are, what marks mean.
      infinite: What an infinite number means here, in a word.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    notes: list[str] = field(default_factory=list)
    infinite: str = "never"

    @property
    def cells(self) -> list[list[str]]:
        """The rows for people."""
        return [[told(cell, self.infinite) for cell in row] for row in self.rows]


def number(value: float | None, infinite: str = "never") -> str:
    """A number in few characters; `-` for what is unknown, a word for infinity."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return infinite
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-3:
        return f"{value:.2e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def told(cell: Cell, infinite: str = "never") -> str:
    """A cell for people: an interval as `value [low, high]`."""
    if isinstance(cell, Interval):
        value = number(cell.value, infinite)
        if cell.low is None or cell.high is None:
            return value
        return f"{value} [{number(cell.low, infinite)}, {number(cell.high, infinite)}]"
    return cell if isinstance(cell, str) else number(cell, infinite)


def text(table: Table) -> str:
    """For the terminal: aligned, numbers to the right."""
    cells = [list(table.columns), *table.cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = _numeric(table)

    def line(row: list[str]) -> str:
        parts = [
            word.rjust(width) if to_right else word.ljust(width)
            for word, width, to_right in zip(row, widths, right, strict=True)
        ]
        return "  ".join(parts).rstrip()

    body = [line(row) for row in cells[1:]]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([table.title, rule, line(cells[0]), rule, *body, rule, *table.notes])


def markdown(table: Table) -> str:
    """For a page."""
    rule = ["---:" if right else "---" for right in _numeric(table)]
    rows = [list(table.columns), rule, *table.cells]
    lines = ["| " + " | ".join(word.replace("|", r"\|") for word in row) + " |" for row in rows]
    lines[1] = lines[1].replace(" ", "")
    return "\n".join([f"**{table.title}**", "", *lines, "", *(f"{n}  " for n in table.notes)])


_ESCAPES = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


def latex(table: Table) -> str:
    """For a paper: a `tabular` with the rules of `booktabs`."""

    def escaped(word: str) -> str:
        return "".join(_ESCAPES.get(c, c) for c in word)

    columns = "".join("r" if right else "l" for right in _numeric(table))
    lines = [f"% {table.title}", *(f"% {note}" for note in table.notes)]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines += [" & ".join(map(escaped, table.columns)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(escaped, row)) + r" \\" for row in table.cells]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def comma_separated(table: Table) -> str:
    """For programs: an interval takes columns `..., low, high, interval, n`, exactly."""
    wide = [
        any(isinstance(row[k], Interval) for row in table.rows) for k in range(len(table.columns))
    ]
    header: list[str] = []
    for name, interval in zip(table.columns, wide, strict=True):
        parts = ("low", "high", "interval", "n") if interval else ()
        header += [name, *(f"{name} {part}" for part in parts)]
    lines: list[list[object]] = [[*header]]
    for row in table.rows:
        line: list[object] = []
        for cell, interval in zip(row, wide, strict=True):
            if isinstance(cell, Interval):
                line += [cell.value, cell.low, cell.high, cell.method, cell.n]
            else:
                line += [cell, *([None] * 4 if interval else [])]
        lines.append(line)
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(lines)
    return made.getvalue().rstrip("\n")


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": markdown,
    "tex": latex,
    "csv": comma_separated,
}


def _numeric(table: Table) -> list[bool]:
    """Which columns hold numbers."""
    return [
        any(isinstance(row[k], int | float | Interval) for row in table.rows)
        for k in range(len(table.columns))
    ]
