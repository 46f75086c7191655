"""Scores a stored agent again: `python -m suites.evaluate <run directory>`."""

import json
from pathlib import Path

from suites.assembly import stored
from suites.environment import say
from suites.errors import UserError
from suites.evaluate import evaluate
from suites.ledger import Meter, allowed_threads
from suites.look import read_config
from suites.options import Key, command, read_options
from suites.progress import Progress

HELP = """\
Play the last evaluation of a run again, with the agent that the run left.

  python -m suites.evaluate <run directory>                the same episodes: the score must agree
  python -m suites.evaluate <run directory> episodes=100   more of them; the first are the same

Nothing is written. Exit code 0: what is recorded agrees; 1: it does not; 2: bad input."""


def main() -> None:
    """The command line."""

    def body(words: list[str]) -> int:
        options = read_options(words[1:], {"episodes": Key(int, None, least=1)})
        return 0 if rescore(Path(words[0]), options["episodes"]) else 1

    command(HELP, body)


def rescore(path: Path, episodes: int | None) -> bool:
    """Play, and print the returns beside the recorded ones; whether they agree.

    Raises:
      UserError: where there is no such run, or it is not done.
    """
    config = read_config(path)
    recorded = recorded_returns(path)
    count = episodes or len(recorded)
    task, agent = stored(config, path, config.threads or allowed_threads())
    progress, meter = Progress(0, count, task.facts.horizon), Meter()
    meter.lap()
    seeds = config.seed, config.evaluation.seed
    try:
        played = [
            episode.score
            for episode in evaluate(agent, task, *seeds, range(count), meter, on_step=progress.step)
        ]
    finally:
        progress.close()
    say(f"{'episode':>8}{'recorded':>12}{'now':>12}")
    for k, score in enumerate(played):
        was = f"{recorded[k]:.2f}" if k < len(recorded) else ""
        say(f"{k:>8}{was:>12}{score:>12.2f}")
    say(f"{'mean':>8}{_mean(recorded):>12.2f}{_mean(played):>12.2f}")
    compared = list(zip(recorded, played, strict=False))
    agrees = all(was == now for was, now in compared)
    say("what is recorded agrees" if agrees else "what is recorded does NOT agree")
    return agrees


def recorded_returns(path: Path) -> list[float]:
    """The returns of a run's last evaluation.

    Raises:
      UserError: if the run is not done.
    """
    summary = path / "summary.json"
    try:
        return [float(score) for score in json.loads(summary.read_text())["returns"]]
    except OSError:
        raise UserError(
            f"{path} is not done: the command that began it continues it; agents are stored at the"
            " end"
        ) from None
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"{summary} is damaged: delete it, and the command that made the run writes it anew"
        ) from None


def _mean(scores: list[float]) -> float:
    return sum(scores) / len(scores)
