"""What a run says to the person who started it: progress on stderr, a closing table on stdout."""

import math
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from suites.environment import complain
from suites.evaluate import Episode

_LINES = 10  # without a terminal: one line each tenth of the way


class Progress:
    """Progress over the episodes of an evaluation: a bar in a terminal, else a few lines.

    Time left comes from the last steps' own speed, so that a slow start (compilation) does not
    count.
    """

    def __init__(self, first: int, episodes: int, horizon: int):
        self._first, self._episodes, self._horizon = first, episodes, horizon
        self._total = (episodes - first) * horizon
        self._times: deque[float] = deque([time.perf_counter()], maxlen=200)
        self._plans: deque[float] = deque(maxlen=200)
        self._before = 0  # steps of the episodes that are finished
        self._said = 0
        self._bar = None
        if sys.stderr.isatty():
            form = "{percentage:3.0f}% |{bar:20}| {desc}"
            self._bar = tqdm(total=self._total, bar_format=form, file=sys.stderr, mininterval=0.2)

    def step(self, episode: int, steps: int, score: float, plan_seconds: float) -> None:
        """Tell of a control step: the episode's steps and return so far, and its plan's seconds."""
        self._times.append(time.perf_counter())
        self._plans.append(plan_seconds)
        done = (episode - self._first) * self._horizon + steps
        tenth = done * _LINES // self._total
        if self._bar is None and tenth <= self._said:
            return
        text = (
            f"return {score:.1f}, plan {1e3 * float(np.mean(self._plans)):.1f} ms,"
            f" {duration(self._left(done))} left"
        )
        name = f"episode {episode + 1}/{self._episodes}"
        if self._bar is not None:
            self._bar.set_description_str(f"{name}: {text}", refresh=False)
            self._bar.update(done - self._bar.n)
        else:
            self._said = tenth
            complain(f"{name}, step {steps}: {text}")

    def _left(self, done: int) -> float:
        per_step = (self._times[-1] - self._times[0]) / max(len(self._times) - 1, 1)
        return (self._total - done) * per_step

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


class TrainingProgress:
    """Progress over the control steps of a training, and a line for each evaluation.

    Time left comes from the speed of the last twentieth of the way, and from what the last
    evaluation took.
    """

    def __init__(self, first: int, total: int, every: int):
        self._total, self._every = total, every
        self._marks: deque[tuple[int, float]] = deque([(first, time.perf_counter())], maxlen=6)
        self._evaluating = 0.0
        self._return: float | None = None
        self._bar = None
        if sys.stderr.isatty():
            form = "{percentage:3.0f}% |{bar:20}| {desc}"
            self._bar = tqdm(
                total=total, initial=first, bar_format=form, file=sys.stderr, mininterval=0.2
            )

    def step(self, env_steps: int, said: dict[str, list[float]]) -> None:
        """Tell of a decision: the control steps so far, and what was said since the last log."""
        if returns := said.get("training_return"):
            self._return = returns[-1]
        if env_steps - self._marks[-1][0] >= self._total / 100:
            self._marks.append((env_steps, time.perf_counter()))
        if self._bar is None or env_steps - self._bar.n < self._total / 1000:
            return
        shown = "" if self._return is None else f"return {self._return:.1f}, "
        left = f"{duration(self._left(env_steps))} left" if len(self._marks) > 1 else "..."
        self._bar.set_description_str(f"step {env_steps:,}: {shown}{left}", refresh=False)
        self._bar.update(env_steps - self._bar.n)

    def _left(self, env_steps: int) -> float:
        (early, then), (late, now) = self._marks[0], self._marks[-1]
        rest, speed = self._total - env_steps, (now - then) / max(late - early, 1)
        return rest * speed + math.ceil(rest / self._every) * self._evaluating

    def evaluated(self, env_steps: int, score: float, seconds: float) -> None:
        """Tell of an evaluation, and of how long it took."""
        self._evaluating = seconds
        self._marks = deque(((n, when + seconds) for n, when in self._marks), maxlen=6)
        left = ""
        if 0 < env_steps < self._total and len(self._marks) > 1:
            left = f", {duration(self._left(env_steps))} left"
        with tqdm.external_write_mode(sys.stderr):  # a bar makes way for the line
            complain(f"step {env_steps:,}: score {score:.1f}{left}")

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


def duration(seconds: float) -> str:
    """`42 s`, `3:05 min`, `2:10 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def closing_table(summary: dict[str, Any], episodes: list[Episode], path: Path) -> str:
    """What a person wants to know of a finished run."""
    costs = summary["ledger"]
    plans = 1e3 * np.array([seconds for e in episodes for seconds in e.plan_seconds])
    timed = []
    if plans.size:  # a copy of a run may lack its episodes
        median, p95 = np.quantile(plans, (0.5, 0.95))
        timed = [("plan time", f"median {median:.1f} ms, 95% under {p95:.1f} ms")]
    returns = np.array(summary["returns"])
    spread = f" (from {returns.min():.1f} to {returns.max():.1f})" if len(returns) > 1 else ""
    cpu, extra = costs["evaluation_cpu_seconds"], costs["cpu_seconds"]
    wall, extra_wall = costs["evaluation_wall_seconds"], costs["wall_seconds"]
    compiling = costs["compile_seconds"] + costs["evaluation_compile_seconds"]
    decisions = costs["evaluation_decisions"]
    trained, extra_name = [], "set-up"
    if costs["env_steps"]:
        trained = [("trained", f"{costs['env_steps']:,} steps, {costs['updates']:,} updates")]
        extra_name = "training"
    rows = [
        ("task", summary["task"]),
        ("agent", f"{summary['agent']}, seed {summary['seed']}"),
        ("score", f"{summary['score']:.1f}, mean of {len(returns)}{spread}"),
        *trained,
        ("sim steps per decision", f"{costs['evaluation_sim_steps'] / decisions:.0f}"),
        *timed,
        ("CPU", f"{cpu:.1f} s, and {extra:.1f} s of {extra_name}"),
        ("clock", f"{wall:.1f} s, and {extra_wall:.1f} s of {extra_name}"),
        ("compiling", f"{compiling:.1f} s of these"),
        ("run", str(path)),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
