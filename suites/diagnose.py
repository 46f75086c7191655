"""How good a learned world model is, and what its errors cost: `python -m suites.diagnose <run>`.

See `--help`.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import suites.environment  # noqa: F401  (before NumPy and MuJoCo)
from planners.none import NoPlanner
from suites.assembly import stored
from suites.environment import complain, say
from suites.errors import NoOtherPhysicsError, UserError
from suites.evaluate import Agent, Pilot, Stopwatch, episode_seed, evaluate
from suites.ledger import Meter, allowed_threads
from suites.look import read_config
from suites.options import Key, command, read_options
from suites.progress import Progress
from suites.records import write_atomic
from suites.rescore import recorded_returns

HELP = """\
How well the world model that a run learned predicts, and how much of the score its errors cost.

  python -m suites.diagnose <run directory> [key=value ...]

Two answers, which go into the run's folder diagnose/ as a figure and as JSON:

  Prediction. The agent plays new episodes. From places on its way the model predicts, without
  looking again, what the actions that were taken lead to: its error against the horizon, in
  standard deviations of what was seen, each number's own (of latents: one for all), with the
  model's own uncertainty beside it.

  Ladder. The same planner, with the same budget, decides in the learned model, in the true physics
  with wrong masses or friction (where a task has such), and in the truth. What the truth scores
  above the learned model is the model's share of the shortfall; what is missing there to the best
  score is the search's.

Keys
  episodes: 1        # of the agent's play, and of each rung of the ladder
  horizon: 30        # transitions of the model that are predicted in a row
  starts: 200        # places that predictions begin in, at most, per episode
  ladder: true       # false: prediction only
  mass: 1.3          # of the wrong masses, in the true ones
  friction: 2.0      # of the wrong friction and damping"""
KEYS = {
    "episodes": Key(int, 1, least=1),
    "horizon": Key(int, 30, least=1),
    "starts": Key(int, 200, least=1),
    "ladder": Key(bool, True),
    "mass": Key(float, 1.3),
    "friction": Key(float, 2.0),
}


def main() -> None:
    """The command line. Exit code 0: done; 2: bad input or a failing machine, in one line."""
    command(HELP, lambda words: diagnose(Path(words[0]), read_options(words[1:], KEYS)))


def diagnose(path: Path, options: dict[str, Any]) -> None:
    """Print both answers, and write them to the run's folder.

    Raises:
      UserError: where there is no such run, it is not done, or it has learned no model.
    """
    config = read_config(path)
    first = len(recorded_returns(path))
    threads = config.threads or allowed_threads()
    task, agent = stored(config, path, threads)
    if not agent.model.trains:
        raise UserError(f"{path} has learned no world model: there is nothing to diagnose")
    played = [
        play(agent, task, config, first + k, options["horizon"]) for k in range(options["episodes"])
    ]
    predicted = prediction(agent.model, played, options["horizon"], options["starts"])
    print_prediction(predicted, agent.model.stride * task.facts.control_dt)
    told: dict[str, Any] = {"prediction": predicted}
    if options["ladder"]:
        told["ladder"] = ladder(agent, task, config, first, threads, options)
        print_ladder(told["ladder"], task.facts)
    folder = path / "diagnose"
    write_atomic(folder / "diagnose.json", json.dumps(told, indent=2).encode())
    write_atomic(folder / "prediction.svg", draw(predicted, agent, task.facts))
    say(f"written to {folder}")


@dataclass
class Played:
    """An episode at the pace of a model.

    Attributes:
      observation: [T + 1, *O].
      action: [T, A], or [T] where actions are discrete.
      reward: [T], of each transition.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray


def play(agent: Agent, task: Any, config: Any, episode: int, least: int) -> Played:
    """The agent's way through an episode.

    Raises:
      UserError: if it has fewer than `least` transitions.
    """
    stride, meter = agent.model.stride, Meter()
    pilot = Pilot(agent, task, config.seed, episode, Stopwatch(meter))
    progress = Progress(0, 1, task.facts.horizon)
    observation, _ = task.reset(seed=episode_seed(config.evaluation.seed, episode))
    observations, actions, rewards = [observation[0]], [], []
    step, paid, total, ended = 0, 0.0, 0.0, False
    try:
        while not ended:
            action = pilot.act(observation, step)
            observation, reward, terminated, truncated, infos = task.step(action)
            step, paid, total = step + 1, paid + float(reward[0]), total + float(reward[0])
            ended = bool(terminated[0] or truncated[0])
            if step % stride == 0:
                last = infos["final_obs"] if ended else observation
                observations.append(last[0])
                actions.append(action[0])
                rewards.append(paid)
                paid = 0.0
            progress.step(0, step, total, pilot.plan_seconds[-1])
    finally:
        progress.close()
    if len(actions) < least:
        raise UserError(
            f"the episode had {len(actions)} transitions: give a horizon= of at most so many"
        )
    return Played(np.array(observations), np.array(actions), np.array(rewards))


def prediction(
    model: Any, played: list[Played], horizon: int, starts: int
) -> dict[str, list[float] | int]:
    """Errors of open-loop prediction after 1 to `horizon` transitions.

    Of the model's features, roots of mean squares in standard deviations of the real ones; of the
    sum of rewards since the start, the mean absolute error; and where the model tells its
    uncertainty, that in the units of the former.

    Each number of an observation has a unit, and so a deviation, of its own. Those of latents share
    theirs: where some hardly ever move, the smallest error would be many of their deviations.
    """
    real = np.concatenate([_features(model, p.observation) for p in played])
    variance = real.var(axis=0)
    deviation = np.sqrt(variance.mean() if model.latent else variance).clip(min=1e-6)
    squares, wrong, spread = np.zeros(horizon), np.zeros(horizon), np.zeros(horizon)
    count = 0
    for p in played:
        last = len(p.action) - horizon
        begun = np.unique(np.linspace(0, last, starts).astype(int))
        state = model.begin(p.observation[begun], None)
        predicted = lived = 0.0
        alive = np.ones(len(begun))
        for h in range(horizon):
            state, reward, continuation = model.step(state, p.action[begun + h])
            predicted, lived = predicted + alive * reward, lived + p.reward[begun + h]
            alive = alive * continuation
            truth = _features(model, p.observation[begun + h + 1])
            error = (model.features(state) - truth) / deviation
            squares[h] += (error**2).mean(axis=1).sum()
            wrong[h] += np.abs(predicted - lived).sum()
            if hasattr(model, "spread"):
                spread[h] += ((model.spread(state) / deviation) ** 2).mean(axis=1).sum()
        count += len(begun)
    told: dict[str, list[float] | int] = {
        "starts": count,
        "feature_error": np.sqrt(squares / count).tolist(),
        "return_error": (wrong / count).tolist(),
    }
    if hasattr(model, "spread"):
        told["uncertainty"] = np.sqrt(spread / count).tolist()
    return told


def _features(model: Any, observations: np.ndarray) -> np.ndarray:
    return model.features(model.begin(observations, None))


def ladder(
    agent: Agent, task: Any, config: Any, first: int, threads: int, options: dict[str, Any]
) -> list[dict[str, Any]]:
    """Scores of the agent's planner in worlds that are ever more like the true one.

    Raises:
      UserError: for an agent without a planner.
    """
    if isinstance(agent.planner, NoPlanner):
        raise UserError("this agent does not plan in its model: give ladder=false")
    from world_models.held import Held
    from world_models.simulator import Simulator

    def truth(**physics: float) -> Held:
        return Held(Simulator(task, threads, physics), agent.model)

    rungs = {"learned model": agent.model}
    try:
        for what, name in (("masses", "mass"), ("friction", "friction")):
            rungs[f"truth with {what} x {options[name]:g}"] = truth(**{name: options[name]})
    except NoOtherPhysicsError:
        complain(f"{task.facts.name} has no physics that could be wrong: the ladder leaves it out")
    rungs["truth"] = truth()
    found = []
    episodes = range(first, first + options["episodes"])
    for name, model in rungs.items():
        complain(f"planning in: {name}")
        progress, meter = Progress(first, episodes.stop, task.facts.horizon), Meter()
        meter.lap()
        seeds = config.seed, config.evaluation.seed
        rung = Agent(agent.planner, model, agent.prior)
        try:
            played = list(evaluate(rung, task, *seeds, episodes, meter, on_step=progress.step))
        finally:
            progress.close()
        seconds = np.concatenate([episode.plan_seconds for episode in played])
        found.append(
            {
                "world": name,
                "returns": [episode.score for episode in played],
                "score": float(np.mean([episode.score for episode in played])),
                "plan_ms": float(1e3 * np.median(seconds)),
            }
        )
    return found


def print_prediction(told: dict[str, Any], seconds: float) -> None:
    """A line for some horizons."""
    horizon = len(told["feature_error"])
    chosen = sorted({1, *np.unique(np.geomspace(1, horizon, 6).astype(int)).tolist(), horizon})
    say(f"\nOpen-loop prediction from {told['starts']} places")
    head = f"{'transitions':>11}{'seconds':>9}{'error (std)':>13}"
    say(head + (f"{'uncertainty':>13}" if "uncertainty" in told else "") + f"{'return':>9}")
    for h in chosen:
        line = f"{h:>11}{h * seconds:>9.2f}{told['feature_error'][h - 1]:>13.3f}"
        if "uncertainty" in told:
            line += f"{told['uncertainty'][h - 1]:>13.3f}"
        say(line + f"{told['return_error'][h - 1]:>9.3f}")


def print_ladder(rungs: list[dict[str, Any]], facts: Any) -> None:
    """Each rung, and whose share the shortfall is."""
    say("\nOne planner, one budget, in different worlds")
    say(f"{'world':<32}{'score':>9}{'plan ms':>10}")
    for rung in rungs:
        say(f"{rung['world']:<32}{rung['score']:>9.1f}{rung['plan_ms']:>10.1f}")
    learned, truth = rungs[0]["score"], rungs[-1]["score"]
    best = facts.reference.get("best")
    line = f"the model's errors cost {truth - learned:.1f}"
    if best is not None:
        line += f"; search on the truth misses {best - truth:.1f} of {best:.0f}"
    say(line)


def draw(told: dict[str, Any], agent: Agent, facts: Any) -> bytes:
    """The figure of the errors against the horizon."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    seconds = agent.model.stride * facts.control_dt * (1 + np.arange(len(told["feature_error"])))
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3), layout="constrained")
    left.plot(seconds, told["feature_error"], label="error of the mean")
    if "uncertainty" in told:
        left.plot(seconds, told["uncertainty"], "--", label="the model's own uncertainty")
    left.set_ylabel("error (standard deviations)")
    left.legend(fontsize=8)
    right.plot(seconds, told["return_error"], color="C2")
    right.set_ylabel("error of the sum of rewards")
    for panel in (left, right):
        panel.set_xlabel("seconds predicted")
        panel.set_ylim(bottom=0)
        panel.tick_params(labelsize=8)
    figure.suptitle(f"Open-loop prediction on {facts.name}", fontsize=10)
    content = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "diagnose"}):
        figure.savefig(content, format="svg", metadata={"Date": None})
    plt.close(figure)
    return content.getvalue()


if __name__ == "__main__":
    main()
