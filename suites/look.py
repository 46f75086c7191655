"""What the planner saw at a decision: `python -m suites.look <run directory> decision=40`.

The run is played again up to there, with what its directory says: the same configuration and seed
give the same episode, so nothing needs to be recorded, and it takes the time that planning took.
See `--help`.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

import suites.environment  # noqa: F401  (before NumPy and MuJoCo)
from planners.none import NoPlanner
from suites.assembly import evaluation_points, stored
from suites.checkpoints import load, states_file
from suites.environment import complain, say
from suites.errors import UserError
from suites.evaluate import Agent, Episode
from suites.ledger import allowed_threads
from suites.looking.drawings import Canvas, fan_lines, png
from suites.looking.replay import Decision, beyond, replay
from suites.looking.searches import Fan, action_names, search_of
from suites.looking.stage import stage, trace_fan
from suites.options import Key, command, read_options
from suites.records import changes, write_atomic
from suites.video import write_video

HELP = """\
What the planner saw at a decision of a run: a picture of the game or the robot, and beside it the
tree, the candidates or the walkers of the search.

  python -m suites.look <run directory> [key=value ...]
  python -m suites.look runs/breakout/mcts-uct/8e41937a91fe/seed0 decision=40
  python -m suites.look runs/breakout/mcts-uct/8e41937a91fe/seed0 video=true last=99

The episode is played again, with all its planning. What is drawn goes into the run's
folder look/.

Keys
  decision: 0        # whose picture is drawn, counted from 0
  episode: 0         # of the run's evaluation
  video: false       # a video instead, with a picture for each decision
  first: 0           # of the video's decisions
  last: null         # null: the last one of the episode
  fps: null          # pictures per second; null: as in the simulation, at most 10"""
KEYS = {
    "decision": Key(int, 0),
    "episode": Key(int, 0),
    "video": Key(bool, False),
    "first": Key(int, 0),
    "last": Key(int, None),
    "fps": Key(float, None),
}
MOST_FPS = 10.0


def main() -> None:
    """The command line. Exit code 0: drawn; 2: bad input or a failing machine, in one line."""
    command(HELP, lambda words: say(look(Path(words[0]), decisions_of(words[1:]))))


def decisions_of(words: list[str]) -> dict[str, Any]:
    """The options of the command line.

    Raises:
      UserError: for what can't be read or makes no sense.
    """
    options = read_options(words, KEYS)
    said, video = {word.partition("=")[0] for word in words}, options["video"]
    wrong = [key for key in (("decision",) if video else ("first", "last", "fps")) if key in said]
    if wrong:
        hint = "first= and last= choose the decisions of a video" if video else "add video=true"
        raise UserError(f"{wrong[0]} means nothing {'with' if video else 'without'} video: {hint}")
    if options["last"] is not None and options["last"] < options["first"]:
        raise UserError(f"last is {options['last']}: give at least first, {options['first']}")
    return options


def look(run: Path, options: dict[str, Any]) -> Path:
    """Draw what `options` ask for of a run; the file that was written.

    Raises:
      UserError: where that can't be.
    """
    config, episode = read_config(run), options["episode"]
    if episode >= config.evaluation.episodes:
        raise UserError(
            f"there is no episode {episode}: the run has {config.evaluation.episodes}; give one"
            f" from 0 to {config.evaluation.episodes - 1}"
        )
    if (seconds := config.planner.get("seconds")) is not None:
        raise UserError(
            f"{run}: planner.seconds is {seconds}, and what a search did in some time can't be"
            " played again: make a run with planner.budget alone"
        )
    recorded = recorded_episode(run, evaluation_points(config)[-1], episode)
    task, agent = stored(config, run, config.threads or allowed_threads())
    if isinstance(agent.planner, NoPlanner):
        raise UserError(f"{run}: planner=none acts without a search, so there is nothing to see")
    first = last = options["decision"]
    if options["video"]:
        first, last = options["first"], options["last"]
    every = agent.planner.plan_every
    if recorded and (last or first) >= (made := -(-recorded.length // every)):
        raise beyond(last or first, episode, made)
    seeds = config.seed, config.evaluation.seed
    decisions = replay(agent, task, seeds, episode, first, last, recorded)
    drawn = draw_each(decisions, config, task, agent)
    name, folder = f"episode{episode:03d}", run / "look"
    if not options["video"]:
        (picture,) = drawn
        path = folder / f"{name}-decision{first:04d}.png"
        write_atomic(path, png(picture))
        return path
    fps = options["fps"] or min(1 / (task.facts.control_dt * every), MOST_FPS)
    write_video(folder / f"{name}.mp4", drawn, fps)
    return folder / f"{name}.mp4"


def read_config(run: Path) -> Any:
    """The configuration of a run; says if it was made with other code.

    Raises:
      UserError: if this is no run directory.
    """
    try:
        config = OmegaConf.load(run / "config.yaml")
        start = json.loads((run / "manifest.json").read_text())["starts"][-1]
    except (OSError, ValueError, LookupError, TypeError, YAMLError, OmegaConfBaseException):
        raise UserError(
            f"{run} is no run directory: give one with a config.yaml and a manifest.json, such as"
            " runs/<task>/<agent>/<config hash>/seed0"
        ) from None
    if changed := changes(start):
        complain(f"warning: {changed} changed since the run was made: it may go another way now")
    return config


def recorded_episode(run: Path, after: int, episode: int) -> Episode | None:
    """What a run recorded of an episode of its evaluation after so many control steps of training.

    With its states if there are any; None if there is nothing.
    """
    finished = load(run, after).get(episode)
    if finished is None:
        return None
    states = states_file(run, after, episode)
    return replace(finished.episode, states=np.load(states) if states.exists() else None)


def draw_each(
    decisions: Iterator[Decision], config: Any, task: Any, agent: Agent
) -> Iterator[np.ndarray]:
    """Pictures [height, width, 3] of decisions; says in the end what each of them took."""
    canvas, names, facts = Canvas(), action_names(task), task.facts
    settings: Any = OmegaConf.to_container(config.task, resolve=True)
    planner = config.planner
    method = planner.get("optimizer") or planner.get("search") or planner["_target_"].split(".")[-1]
    seconds, count = 0.0, 0
    with stage(settings, task) as draw:
        for decision in decisions:
            begin = time.perf_counter()
            search = search_of(decision, agent, facts, names)
            lines, shown = [], ""
            if isinstance(search, Fan) and hasattr(task.simulation, "model"):
                points, shown = trace_fan(search, agent.model, decision.state)
                lines = fan_lines(search, *points)
            picture = draw(decision.state[0], lines)
            drawn = canvas.draw(
                f"{facts.name} · {method} · seed {config.seed}",
                f"decision {decision.number}, at {decision.step * facts.control_dt:.2f} s,"
                f" return so far {decision.score:.4g}{shown if picture is not None else ''}",
                picture,
                search,
            )
            seconds, count = seconds + time.perf_counter() - begin, count + 1
            yield drawn
    if count > 1:
        complain(f"{count} pictures, {seconds / count:.2f} s to draw each")


if __name__ == "__main__":
    main()
