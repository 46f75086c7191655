"""Sweeps whose runs end as a test says, without a process."""

import json
from pathlib import Path
from typing import Any

from suites.errors import RefusedError
from suites.sweeps.engine import Job, Sweep
from suites.sweeps.work import Order, Outcome


class Scripted:
    """A launcher whose orders end as was told, and leave a summary if they are done."""

    def __init__(self, outcomes: dict[int, list[Any]], most: int = 2):
        self.outcomes, self.most = outcomes, most
        self.at_work, self.started, self.stopped = 0, [], 0
        self.runs: dict[str, Path] = {}
        self.orders: list[Order] = []
        self.takes = most  # what is more is refused

    def slots(self, threads: int) -> int:
        return self.most // threads

    def start(self, order: Order):
        (word,) = (word for word in order.command if word in self.runs)
        seed = int(word.removeprefix("seed="))
        self.started.append(seed)
        self.orders.append(order)
        if self.at_work >= self.takes:
            raise RefusedError("no more")
        self.at_work += 1
        assert self.at_work <= self.most
        launcher = self

        class Handle:
            def poll(self):
                outcome = launcher.outcomes[seed].pop(0)
                launcher.at_work -= outcome is not None
                if outcome and outcome.code == 0:
                    leave_summary(launcher.runs[word])
                return outcome

            def stop(self):
                launcher.stopped += 1

        return Handle()


def leave_summary(path: Path, seconds: float = 4.0) -> None:
    path.mkdir(parents=True, exist_ok=True)
    ledger = dict.fromkeys(("wall_seconds", "evaluation_wall_seconds"), seconds / 2)
    ledger |= dict.fromkeys(("cpu_seconds", "evaluation_cpu_seconds"), 1.0)
    (path / "summary.json").write_text(json.dumps({"score": 1.0, "ledger": ledger}))


GOOD, BAD = Outcome(0, cpu_seconds=1), Outcome(2, "it broke", 0.5)
LOST = Outcome(None, "its worker was lost")


def scripted(tmp_path, outcomes: dict[int, list[Any]], retries: int = 1):
    """A sweep whose runs end as told; it and its launcher."""
    jobs = [
        Job((f"seed={k}",), tmp_path / "x" / f"seed{k}", "task", "method", k, 1, force=False)
        for k in outcomes
    ]
    launcher, ignore = Scripted(outcomes), lambda *_: None
    launcher.runs = {job.words[-1]: job.path for job in jobs}
    folder = tmp_path / "sweeps" / "one"
    return Sweep(folder, jobs, [], [], launcher, None, retries, None, ignore, ignore), launcher
