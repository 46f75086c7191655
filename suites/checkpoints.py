"""What a run that was killed goes on from.

`checkpoint/evaluation-<env steps>/episode<k>.json` is written atomically when the episode ends. For
a video there is `episode<k>.npy` beside it, with the physics states [T, S], written before.

`checkpoint/training-<env steps>/` holds all of a training: `state.pt`, and the arrays of its memory
as `memory-<name>.npy`. It appears under this name when it is whole; then the one before goes. A run
that is done keeps `checkpoint/agent.pt`, what was learned alone.
"""

import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from suites.errors import UserError
from suites.evaluate import Episode
from suites.ledger import Costs
from suites.records import write_atomic, writing


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

    def metrics(self, after: int) -> dict[str, Any]:
        """A row of `metrics.jsonl`, of an evaluation after so many control steps of training."""
        episode = self.episode
        milliseconds = 1e3 * np.asarray(episode.plan_seconds)
        median, p95 = np.quantile(milliseconds, (0.5, 0.95))
        return {
            "env_steps": after,
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
    """The finished episodes of an evaluation by index.

    Raises:
      UserError: for one that is damaged.
    """
    found = {}
    for path in sorted(folder(run, env_steps).glob("episode*.json")):
        try:
            row = json.loads(path.read_text())
            episode = Episode(**{**row["episode"], "costs": Costs(**row["episode"]["costs"])})
            finished = Finished(episode, Costs(**row["outside"]), row["concurrent_runs"])
        except (ValueError, TypeError, KeyError):
            raise UserError(
                f"{path} is damaged: delete it, and give the same command again"
            ) from None
        found[episode.index] = finished
    return found


def trainings(run: Path) -> list[Path]:
    """The whole checkpoints of a run's training, the latest last."""
    found = (run / "checkpoint").glob("training-*")
    return sorted(found, key=lambda path: int(path.name.removeprefix("training-")))


def save_training(
    run: Path, env_steps: int, state: dict[str, Any], memory: dict[str, Any] | None
) -> None:
    """Write a checkpoint of training after so many control steps, and drop the ones before.

    Without its memory (None) it is smaller, but what goes on from it is another training.
    """
    import torch

    path = run / "checkpoint" / f"training-{env_steps}"
    if path.exists():
        return
    unfinished = path.with_name(f".{path.name}")
    with writing(path):
        _drop_unfinished(run)
        unfinished.mkdir(parents=True)
        try:
            with open(unfinished / "state.pt", "wb") as file:
                try:
                    torch.save({**state, "has_memory": memory is not None}, file)
                except RuntimeError as error:  # torch's, which hides why it could not write
                    if isinstance(error.__context__, OSError):
                        raise error.__context__ from None
                    raise
            for name, array in (memory or {}).items():
                np.save(unfinished / f"memory-{name}.npy", array)
            for file in unfinished.iterdir():
                _sync(file)
            os.replace(unfinished, path)
        except BaseException:
            _drop_unfinished(run)  # a full disk would stay full
            raise
        _sync(path.parent)
        for old in trainings(run)[:-1]:
            shutil.rmtree(old)


def load_training(run: Path) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
    """The state of the latest checkpoint of training and its memory; None if there is none.

    Raises:
      UserError: for a checkpoint that is broken.
    """
    found = trainings(run)
    if not found:
        return None
    state = load_state(found[-1] / "state.pt")
    with fitting(found[-1]):
        has_memory = state.pop("has_memory")
    if not has_memory:
        return state, None
    try:
        files = found[-1].glob("memory-*.npy")
        arrays = {path.stem.removeprefix("memory-"): np.load(path, mmap_mode="r") for path in files}
    except (OSError, ValueError) as error:
        raise _broken(found[-1], error) from error
    return state, arrays


def save_agent(run: Path, agent: dict[str, Any]) -> None:
    """Keep the agent of a training that is done."""
    import torch

    content = io.BytesIO()
    torch.save(agent, content)
    write_atomic(run / "checkpoint" / "agent.pt", content.getvalue())


def drop_trainings(run: Path) -> None:
    """Forget what only the continuation of a training needs."""
    _drop_unfinished(run)
    for path in trainings(run):
        shutil.rmtree(path)


def _drop_unfinished(run: Path) -> None:
    """Forget checkpoints that a kill or a full disk left half written."""
    for path in (run / "checkpoint").glob(".training-*"):
        shutil.rmtree(path, ignore_errors=True)


def load_state(path: Path) -> dict[str, Any]:
    """What a `.pt` file holds. It can run code: open only those of people you trust.

    Raises:
      UserError: for a file that is broken, or of another version.
    """
    import pickle

    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (AttributeError, ImportError) as error:  # what it is made of is not there any more
        raise _misfit(path, error) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.PickleError) as error:
        raise _broken(path, error) from error


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Inside, parts become what a checkpoint says.

    Raises:
      UserError: where it says less than they need, or of other shapes: another version wrote it.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _misfit(path, error) from error


def _misfit(path: Path, error: Exception) -> UserError:
    told = " ".join(str(error).split())[:200]
    return UserError(
        f"the checkpoint {path} does not fit this version ({type(error).__name__}: {told}): go on"
        " with the version that wrote it, or make the run again with force=true"
    )


def _broken(path: Path, error: Exception) -> UserError:
    told = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(
        f"can't read the checkpoint {path}: {told}; force=true starts the run over, and a copy of"
        " the file would continue it"
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
