"""Finished episodes on disk, with their costs: what a run that was killed goes on from.

`checkpoint/evaluation-<env steps>/episode<k>.json` is written atomically when the episode ends. For
a video there is `episode<k>.npy` beside it, with the physics states [T, S], written before.
"""

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from suites.evaluate import Episode
from suites.ledger import Costs
from suites.records import write_atomic


@dataclass
class Finished:
    """A finished episode of evaluation, and what came with it.

    Attributes:
      episode: Its states apart, which are read only for a video.
      outside: What the run paid outside evaluation since its last record.
      concurrent_runs: Runs on this machine when it ended; None if unknown.
    """

    episode: Episode
    outside: Costs
    concurrent_runs: int | None

    def metrics(self) -> dict[str, Any]:
        """A row of `metrics.jsonl`."""
        episode = self.episode
        milliseconds = 1e3 * np.asarray(episode.plan_seconds)
        median, p95 = np.quantile(milliseconds, (0.5, 0.95))
        return {
            "episode": episode.index,
            "return": episode.score,
            "length": episode.length,
            "plan_ms_median": float(median),
            "plan_ms_p95": float(p95),
            "plan_ms_max": float(milliseconds.max()),
            **episode.statistics,
        }


def folder(run: Path, env_steps: int) -> Path:
    """Where the episodes of the evaluation after so many steps of training lie."""
    return run / "checkpoint" / f"evaluation-{env_steps}"


def states_file(run: Path, env_steps: int, episode: int) -> Path:
    """The physics states [T, S] of an episode, if they were recorded."""
    return folder(run, env_steps) / f"episode{episode}.npy"


def save(run: Path, env_steps: int, finished: Finished) -> None:
    """Write an episode to disk: from then on it survives a kill."""
    episode = finished.episode
    if episode.states is not None:
        content = io.BytesIO()
        np.save(content, episode.states)
        write_atomic(states_file(run, env_steps, episode.index), content.getvalue())
    row = asdict(finished)
    del row["episode"]["states"]
    text = json.dumps(row, allow_nan=False)
    write_atomic(folder(run, env_steps) / f"episode{episode.index}.json", text.encode())


def load(run: Path, env_steps: int) -> dict[int, Finished]:
    """The finished episodes of an evaluation by index."""
    found = {}
    for path in sorted(folder(run, env_steps).glob("episode*.json")):
        row = json.loads(path.read_text())
        episode = Episode(**{**row["episode"], "costs": Costs(**row["episode"]["costs"])})
        found[episode.index] = Finished(episode, Costs(**row["outside"]), row["concurrent_runs"])
    return found
