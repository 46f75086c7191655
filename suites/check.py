"""Whether a part of one's own keeps to its interface: `python -m suites.check planner=mine`.

See `--help`.
"""

import sysconfig
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import suites.environment  # noqa: F401  (before NumPy and MuJoCo)
from suites.assembly import assemble, build, prepare_torch
from suites.checks import faces, learners, models, planners, tasks
from suites.checks.broken import BrokenError, NotSeenError
from suites.checks.learners import Training
from suites.command import composing, from_words, own_folder
from suites.environment import complain, debugging, say
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
options where that takes long. A world model that does not learn needs budget.env_steps=0.

It says nothing about how good a part is. Exit code 0: all holds; 1: something is broken; 2: bad
input, in one line. With PLAN_OR_LEARN_DEBUG=1 the first error of a part is shown whole."""
PARTS = {"world_model": models, "planner": planners, "learner": learners}
Outcome = tuple[str, str, str | None]  # part, what is checked, what is wrong (None: nothing)


def main() -> None:
    """The command line. Exit code 0: nothing is broken; 1: something is; 2: bad input."""
    command(HELP, check, "nothing was found yet")


def check(words: list[str]) -> int:
    """Print a line for each check; 1 if one failed.

    Raises:
      UserError: where the parts can't be made, or don't fit together.
    """
    folder, rest = own_folder(words)
    with composing():
        config = from_words(rest, folder).config
    count = wrong = 0
    with tempfile.TemporaryDirectory() as place:
        for part, what, failure in outcomes(config, Path(place)):
            count, wrong = count + 1, wrong + (failure is not None)
            say(f"{'ok' if failure is None else 'BROKEN':7} {part}: {what}")
            if failure:
                say(f"{'':7} {failure}")
    say(f"{count} checks, {wrong} broken" if wrong else f"{count} checks, all ok")
    return int(wrong > 0)


def outcomes(config: Any, place: Path) -> Iterator[Outcome]:
    """Make all checks that apply; without faces, or without any training, no others.

    Arguments:
      place: A folder to be thrown away.

    Raises:
      UserError: where the parts can't be made, or don't fit together.
    """

    def make_task(num_envs: int) -> Any:
        return build("task", config, num_envs=num_envs, threads=1)

    faced = list(_faces(config, make_task))
    if any(failure for *_, failure in faced):
        yield from faced
        return
    _, agent = assemble(config, 1)  # so that bad input is told before the first line
    yield from faced
    for name, body in tasks.CHECKS.items():
        yield "task", name, outcome(body, make_task)
    training: list[Training] = []

    def train() -> None:
        task = make_task(agent.num_envs)
        training.append(Training(lambda: assemble(config, 1)[1], task, config.seed, place))
        complain("training until something is learned...")
        training[0].learn()

    if agent.trained:
        failure = outcome(train)
        yield "training", "it learns from what it did, and what it says of that is finite", failure
        if failure:
            return
        agent = training[0].agent
    batch: list[Any] = []
    failure = outcome(lambda: batch.append(make_task(2)))
    if failure:
        yield "task", "there can be two environments of it", failure
        return
    for part, of in PARTS.items():
        for name, (applies, body) in of.CHECKS.items():
            if applies(agent, config):
                yield part, name, outcome(body, agent, batch[0], config)
    for one in training:
        for name, body in learners.OF_TRAINING.items():
            yield "training", name, outcome(body, one)


def _faces(config: Any, make_task: Callable[[int], Any]) -> Iterator[Outcome]:
    """Whether each part has got what its interface names."""
    what = "it has all that its interface names"
    task = make_task(1)
    failure = outcome(faces.task, task)
    yield "task", what, failure
    if failure:
        return
    if config.budget.env_steps:
        prepare_torch(config)
    learner = build("learner", config, spec=task.facts)
    model = build("world_model", config, spec=task.facts, task=task, threads=1)
    planner = build("planner", config, spec=task.facts)
    for part, made in (("world_model", model), ("planner", planner), ("learner", learner)):
        yield part, what, outcome(getattr(faces, part), made)


def outcome(body: Callable[..., None], *arguments: Any) -> str | None:
    """What a check found wrong, in one line; None: nothing."""
    try:
        body(*arguments)
    except BrokenError as error:
        return str(error)
    except NotSeenError:
        raise
    except (Exception, SystemExit) as error:  # whatever a part raises is what is wrong with it
        if debugging():
            raise
        if isinstance(error, UserError):
            return explain(error)
        frames = traceback.extract_tb(error.__traceback__)
        library = sysconfig.get_paths()["purelib"]
        last = next((f for f in reversed(frames) if not f.filename.startswith(library)), frames[-1])
        told = (str(error).splitlines() or ["no more is said"])[0]
        return f"{type(error).__name__}: {told} ({Path(last.filename).name}:{last.lineno})"
    return None


if __name__ == "__main__":
    main()
