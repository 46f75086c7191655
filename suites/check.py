"""Whether a part of one's own keeps to its interface: `python -m suites.check planner=mine`.

See `--help`.
"""

import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import suites.environment  # noqa: F401  (before NumPy and MuJoCo)
from suites.assembly import assemble, build
from suites.checks import learners, models, planners, tasks
from suites.checks.broken import BrokenError
from suites.checks.learners import Training
from suites.command import composing, from_words
from suites.errors import UserError
from suites.options import command
from suites.usage import explain

HELP = """\
Check that a task, planner, world model or learner of your own keeps to its interface.

  python -m suites.check planner=mine                 on cheetah
  python -m suites.check learner=mine task=pong learner.warmup=100
  python -m suites.check --config-dir my_conf task=my_task

The words are those of a run (python -m suites.run --help); what they don't name is as in a run.
The task and each part that is not the null part are checked: shapes and types; that the same noise
gives the same decision; that searching and evaluating change nothing; that costs are counted, and
planner.budget is kept; that going back to a snapshot is exact; that a training that was interrupted
goes on bit for bit. What learns is trained for that until it has learned something, so give small
options where that takes long.

It says nothing about how good a part is. Exit code 0: all holds; 1: something is broken; 2: bad
input, in one line."""
PARTS = {"world_model": models, "planner": planners, "learner": learners}


def main() -> None:
    """The command line. Exit code 0: nothing is broken; 1: something is; 2: bad input."""
    command(HELP, check, "nothing was found yet")


def check(words: list[str]) -> int:
    """Print a line for each check; 1 if one failed.

    Raises:
      UserError: where the parts can't be made, or don't fit together.
    """
    folder = None
    if "--config-dir" in words:
        at = words.index("--config-dir")
        folder = (words[at + 1 : at + 2] or [None])[0]
        if folder is None or not Path(folder).is_dir():
            raise UserError(f"--config-dir {folder or ''}: there is no such folder")
        words = words[:at] + words[at + 2 :]
    with composing():
        config = from_words(words, folder).config
    count = wrong = 0
    with tempfile.TemporaryDirectory() as place:
        for part, what, failure in outcomes(config, Path(place)):
            count, wrong = count + 1, wrong + (failure is not None)
            print(f"{'ok' if failure is None else 'BROKEN':7} {part}: {what}", flush=True)
            if failure:
                print(f"{'':7} {failure}", flush=True)
    print(f"{count} checks, {wrong} broken" if wrong else f"{count} checks, all ok")
    return int(wrong > 0)


def outcomes(config: Any, place: Path) -> Iterator[tuple[str, str, str | None]]:
    """Part, what is checked, and what is wrong (None: nothing), of each check.

    Arguments:
      place: A folder to be thrown away.
    """
    _, agent = assemble(config, 1)

    def make_task(num_envs: int) -> Any:
        return build("task", config, num_envs=num_envs, threads=1)

    for name, body in tasks.CHECKS.items():
        yield "task", name, outcome(body, make_task)
    training = None
    if agent.trained:
        training = Training(
            lambda: assemble(config, 1)[1], make_task(agent.num_envs), config.seed, place
        )
        what = "it learns from what it did, and what it says of that is finite"
        failure = outcome(training.learn)
        yield "training", what, failure
        if failure:
            return
        agent = training.agent
    batch = make_task(2)
    for part, of in PARTS.items():
        for name, (applies, body) in of.CHECKS.items():
            if applies(agent, config):
                yield part, name, outcome(body, agent, batch, config)
    if training:
        for name, body in learners.OF_TRAINING.items():
            yield "training", name, outcome(body, training)


def outcome(body: Any, *arguments: Any) -> str | None:
    """What a check found wrong, in one line; None: nothing."""
    try:
        body(*arguments)
    except BrokenError as error:
        return str(error)
    except UserError as error:
        return explain(error)
    except Exception as error:  # whatever a part raises is what is wrong with it
        last = traceback.extract_tb(error.__traceback__)[-1]
        told = (str(error).splitlines() or [""])[0]
        return f"{type(error).__name__}: {told} ({Path(last.filename).name}:{last.lineno})"
    return None


if __name__ == "__main__":
    main()
