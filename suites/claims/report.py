"""Verdicts for people: in the terminal, and as the table of all claims."""

import json
from pathlib import Path
from typing import Any

from suites import tables
from suites.claims.design import names
from suites.records import read_json, write_atomic
from suites.tables import Cell, Table, number

Record = dict[str, Any]
MARK = {"supported": "**supported**", "contradicted": "**contradicted**", "undecided": "undecided"}


def write(record: Record, folder: Path) -> None:
    """Leave a verdict beside the runs."""
    write_atomic(folder / "verdict.json", f"{json.dumps(record, indent=1)}\n".encode())
    write_atomic(folder / "verdict.md", f"{tables.markdown(overview([record]))}\n".encode())


def told(record: Record) -> str:
    """A verdict for the terminal."""
    lines = [record["claim"], f"  {record['source']}", "", tables.text(_arms(record)), ""]
    lines += [f"rule: {record['rule']}"]
    for one in record["comparisons"]:
        ask = f"; about {one['seeds_needed']} seeds would decide" if one["seeds_needed"] else ""
        lines.append(f"{_pair(one)}: {_effect(one)}, {one['verdict']}{ask}")
        lines += [f"  {one['method']}, {one['runs']} runs"] if "method" in one else []
    lines += [f"left out, as it failed: {name}: {why}" for name, why in record["failed"].items()]
    so_far = ""
    if record["waiting"]:
        so_far = f" so far; {len(record['waiting'])} of {record['runs']} runs are yet to be made"
    verdict = f"{record['verdict']}{_ask(record)}, at budget {record['budget']}"
    lines += ["", f"VERDICT: {verdict}{so_far}"]
    lines += [f"cost: {_cost(record)}", f"limits: {record['limits']}"]
    return "\n".join(lines)


def _pair(one: Record) -> str:
    return " against ".join(one["arms"])


def _effect(one: Record) -> str:
    if "effect" not in one:
        return "no runs"
    if one["low"] is None:
        return number(one["effect"])
    return f"{number(one['effect'])} [{number(one['low'])}, {number(one['high'])}]"


def _ask(record: Record) -> str:
    seeds = record["seeds_needed"]
    return f" (about {seeds} seeds would decide)" if seeds is not None else ""


def _cost(record: Record) -> str:
    return f"{record['cpu_seconds'] / 60:.0f} CPU-minutes for {record['done']} runs"


def _arms(record: Record) -> Table:
    columns = (
        *("task", "arm", "n", "mean", "deviation", "least", "most"),
        *("real steps", "CPU s to train", "simulated steps", "CPU s an episode"),
    )
    keys = (
        *("task", "arm", "n", "mean", "deviation", "least", "most", "training_env_steps"),
        *("training_cpu_seconds", "episode_sim_steps", "episode_cpu_seconds"),
    )
    rows: list[tuple[Cell, ...]] = [tuple(row[key] for key in keys) for row in record["arms"]]
    notes = ["scores: normalised, after all training; simulated steps: of an episode"]
    return Table("arms", f"{record['name']}, budget {record['budget']}", columns, rows, notes)


def overview(records: list[Record]) -> Table:
    """A row for each verdict."""
    rows: list[tuple[Cell, ...]] = []
    for record in records:
        effects = "; ".join(f"{_pair(one)}: {_effect(one)}" for one in record["comparisons"])
        seeds = sorted({one["seeds"] for one in record["comparisons"] if "seeds" in one})
        rows.append(
            (
                *(record["name"], record["claim"], record["budget"]),
                *(f"{MARK[record['verdict']]}{_ask(record)}", effects),
                *("-".join(map(str, seeds)), f"{record['cpu_seconds'] / 60:.0f}"),
            )
        )
    columns = ("claim", "it says", "budget", "verdict", "effect [interval]", "n", "CPU-minutes")
    methods = {
        one["method"] for of in records for one in of["comparisons"] if one.get("low") is not None
    }
    notes = ["n: runs of each arm on each task", f"intervals: {'; '.join(sorted(methods))}"]
    notes += [f"{record['name']}, {record['budget']}: {record['rule']}" for record in records]
    return Table("claims", "Verdicts so far", columns, rows, notes)


def brief(records: list[Record]) -> str:
    """All verdicts in a line each."""
    width = max(len(record["name"]) for record in records)
    return "\n".join(
        f"{record['name']:<{width}}  {record['budget']:<6}  {record['verdict']}{_ask(record)}"
        for record in records
    )


def collect(runs_dir: Path, out: Path) -> list[Record]:
    """Keep the verdicts of some runs in `out`/claims, and make the table of all that are there."""
    for path in sorted(runs_dir.glob("claims/*/verdict.json")):
        record = read_json(path)
        if record and not record["waiting"]:
            name = f"{record['name']}-{record['budget']}.json"
            write_atomic(out / "claims" / name, path.read_bytes())
    stored = [read_json(path) for path in sorted((out / "claims").glob("*.json"))]
    order = {name: k for k, name in enumerate(names())}
    stored.sort(key=lambda record: (order.get(record["name"], len(order)), record["budget"]))
    if stored:
        write_atomic(out / "claims.md", f"{tables.markdown(overview(stored))}\n".encode())
    return stored
