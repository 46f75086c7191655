"""Learning curves of all that learns: `python -m benchmarks.learning STUDY`.

Studies: `sac` and `simba` on control tasks, 100,000 control steps, beside published numbers; `ppo`
on control tasks, a million steps; `pong`, PPO on an Atari game; `der`, data-efficient Rainbow on
Atari with 100,000 decisions. With learned world models: `tdmpc2` with 30,000 control steps, `pets`
with 5,000, `mbpo` with 20,000, `muzero` on an Atari game with 70,000 decisions. On the true
simulator: `truth`, a planner, alone, with a learned value, and the policy that it teaches, with
5,000 to 20,000. One configuration of each for all tasks of a kind.

The tables with all evaluations go to `results/learning/`, the figures to `docs/figures/`. See
`benchmarks.study`.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.study import Job, Study, job, learning_curve, main, read_rows

FIGURES = Path("docs/figures")
SIX = (
    "cartpole-swingup",
    "cheetah-run",
    "walker-walk",
    "finger-spin",
    "reacher-easy",
    "ball_in_cup-catch",
)
TWO = ("cheetah-run", "walker-walk")
GAME = "budget.env_steps=70000", "evaluation.every=10000", "evaluation.episodes=5"
TDMPC2_TASKS = ("cartpole-swingup", "cheetah-run", "finger-spin")


class Published(NamedTuple):
    """A score that somebody published: mean over seeds, and standard deviation, if told."""

    who: str
    task: str
    env_steps: int
    mean: float
    deviation: float | None


def _published(who: str, steps: int, **scores: tuple[float, float]) -> Iterator[Published]:
    for task, (mean, deviation) in scores.items():
        name = task.replace("__", "-")
        yield Published(who, name, steps, mean, deviation)


# SAC as run by the authors of SimbaV2 (github.com/DAVIAN-Robotics/SimbaV2, results/baseline) and of
# TD-MPC2 (github.com/nicklashansen/tdmpc2, results/sac): after 100,000 control steps, action repeat
# 2, three seeds (walker-walk of the first: two).
SAC = (
    *_published(
        "SAC, SimbaV2's authors",
        100_000,
        cartpole__swingup=(861.0, 5.2),
        cheetah__run=(177.8, 37.2),
        walker__walk=(448.6, 117.4),
        finger__spin=(475.2, 18.4),
        reacher__easy=(931.3, 53.1),
        ball_in_cup__catch=(971.9, 1.2),
    ),
    *_published(
        "SAC, TD-MPC2's authors",
        100_000,
        cartpole__swingup=(835.0, 9.5),
        cheetah__run=(310.1, 65.3),
        walker__walk=(708.2, 204.3),
        finger__spin=(762.4, 16.5),
        reacher__easy=(540.4, 410.4),
        ball_in_cup__catch=(958.1, 10.8),
    ),
)
# SimBa and SimbaV2, two updates per decision, from the same files of SimbaV2's authors.
SIMBA = (
    *_published("SimBa", 100_000, cheetah__run=(558.9, 44.9), walker__walk=(951.4, 33.5)),
    *_published("SimbaV2", 100_000, cheetah__run=(641.8, 124.5), walker__walk=(961.5, 5.6)),
)
# The PPO that DreamerV3 was compared with (github.com/danijar/dreamerv3, scores), five seeds.
PPO = (
    *_published(
        "PPO, DreamerV3's authors", 500_000, cheetah__run=(82.2, 6.3), walker__walk=(65.2, 6.9)
    ),
)


# The first point of the curves of TD-MPC2 (github.com/nicklashansen/tdmpc2, results/tdmpc2).
TDMPC2 = tuple(
    _published(
        "TD-MPC2's authors",
        100_000,
        cartpole__swingup=(839.4, 43.1),
        cheetah__run=(519.1, 83.8),
        finger__spin=(947.5, 34.2),
    )
)

# After 100,000 decisions: MuZero as run by the authors of EfficientZero, and theirs
# (github.com/eloialonso/iris, results/data), a mean each.
MUZERO = (
    Published("MuZero", "pong", 100_000, -6.7, None),
    Published("EfficientZero", "pong", 100_000, 20.1, None),
)

# After 100,000 decisions, by its authors (van Hasselt et al. 2019), as read by those of SPR
# (github.com/mila-iqia/spr, 100k_comparison.ipynb); without sticky actions; a mean each.
DER = tuple(
    Published("DER's authors", task, 100_000, mean, None)
    for task, mean in {"pong": -19.3, "boxing": 0.2, "freeway": 27.9}.items()
)


def jobs(
    learner: str,
    tasks: tuple[str, ...],
    seeds: int,
    *words: str,
    group: str = "learner",
    name: str | None = None,
) -> tuple[Job, ...]:
    """A learner, or an agent, on each task, `seeds` of each; the first seed of all first.

    Its rows bear `name`, or else the learner's.
    """
    overrides = (f"{group}={learner}", *words)
    return tuple(
        job(overrides, task=task, learner=name or learner, seed=seed)
        for seed in range(seeds)
        for task in tasks
    )


def agents(agent: str, tasks: tuple[str, ...], steps: int, every: int) -> tuple[Job, ...]:
    """Two seeds of an agent with a learned world model."""
    budget = f"budget.env_steps={steps}", f"evaluation.every={every}"
    return jobs(agent, tasks, 2, *budget, "evaluation.episodes=3", group="agent")


def data_efficient_rainbow() -> tuple[Job, ...]:
    """Three seeds. Pong and freeway are those of the comparison, where a game lasts five minutes at
    most; one of boxing is over after two.
    """
    return (
        *jobs("der", ("pong", "freeway"), 3, "task.max_frames=18000"),
        *jobs("der", ("boxing",), 3),
    )


def search_and_learning(*tasks: str) -> tuple[Job, ...]:
    """A planner on the truth; with a learned value; and the policy that it teaches. Two seeds."""
    budget = "planner.budget=500", "evaluation.episodes=3"
    every = "evaluation.every=5000"
    valued = "budget.env_steps=20000", every
    # Looks as far as the planner alone, and first remembers some of what that one is paid.
    far = "planner.horizon=0.5", "learner.warmup=2500", "budget.env_steps=15000", every
    taught = "budget.env_steps=5000", "evaluation.every=2500", "learner.half_life=1000"
    return (
        *jobs("mpc", tasks, 2, *budget, group="agent"),
        *jobs("polo", tasks, 2, *budget, *valued, group="agent"),
        *jobs("polo", tasks, 2, *budget, *far, group="agent", name="polo-0.5s"),
        *jobs("distill", tasks, 2, *budget, *taught, group="agent"),
    )


def curve(rows: list[dict[str, Any]], task: str, learner: str) -> tuple[np.ndarray, np.ndarray]:
    """Control steps [T] and scores [seeds, T] of the evaluations that all seeds have."""
    of_seed: dict[int, dict[int, float]] = {}
    for row in rows:
        if (row["task"], row["learner"]) == (task, learner):
            of_seed.setdefault(row["seed"], {})[row["env_steps"]] = row["score"]
    shared = sorted(set.intersection(*(set(found) for found in of_seed.values())))
    return np.array(shared), np.array([[found[n] for n in shared] for found in of_seed.values()])


def report(
    rows: list[dict[str, Any]], name: str, published: tuple[Published, ...], other: Path | None
) -> str:
    """Last scores beside the published ones; draws the curves.

    `other` is the table of another study, whose curves are drawn beside where tasks are the same.
    """
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    learners = list(dict.fromkeys(row["learner"] for row in rows))
    people = list(dict.fromkeys(p.who for p in published))
    several = len(learners) > 1
    titles = ["task", *(["agent"] if several else []), "after", "score of each seed", "mean"]
    lines = ["| " + " | ".join([*titles, *people]) + " |"]
    lines.append("|---|" + "---|" * several + "---:|---|---:|" + "---|" * len(people))
    pairs = dict.fromkeys((row["task"], row["learner"]) for row in rows)
    for task, learner in sorted(pairs, key=lambda pair: tasks.index(pair[0])):
        steps, scores = curve(rows, task, learner)
        theirs = {p.who: p for p in published if p.task == task}
        cells = [_cell(theirs[who], int(steps[-1])) if who in theirs else "" for who in people]
        each = ", ".join(f"{score:.0f}" for score in scores[:, -1])
        mean = f"**{scores[:, -1].mean():.0f}**"
        named = [task, *([learner] if several else [])]
        lines.append("| " + " | ".join([*named, f"{steps[-1]:,}", each, mean, *cells]) + " |")
    beside = read_rows(other) if other else []
    draw(rows + [row for row in beside if row["task"] in tasks], tasks, published, name)
    return "\n".join(lines)


def _cell(published: Published, steps: int) -> str:
    after = "" if published.env_steps == steps else f" after {published.env_steps:,}"
    spread = "" if published.deviation is None else f" ± {published.deviation:.0f}"
    return f"{published.mean:.0f}{spread}{after}"


def _name(published: Published) -> str:
    return published.who if published.deviation is None else f"{published.who} (± std)"


def draw(
    rows: list[dict[str, Any]], tasks: list[str], published: tuple[Published, ...], name: str
) -> None:
    """A panel per task: the median of n seeds, their interquartile band, published points."""
    import matplotlib.pyplot as plt

    across = min(len(tasks), 3)
    down = -(-len(tasks) // across)
    size = (3.2 * across, 2.6 * down + 0.4)
    figure, panels = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    learners = list(dict.fromkeys(row["learner"] for row in rows))
    people = list(dict.fromkeys(p.who for p in published))
    for panel, task in zip(panels.flat, tasks, strict=False):
        there = [x for x in learners if any((r["task"], r["learner"]) == (task, x) for r in rows)]
        seeds = []
        for learner in there:
            steps, scores = curve(rows, task, learner)
            low, middle, high = np.quantile(scores, (0.25, 0.5, 0.75), axis=0)
            colour = f"C{learners.index(learner)}"
            seeds.append(str(len(scores)))
            if len(steps) == 1:  # of a planner that does not learn
                panel.axhline(middle[0], color=colour, linestyle="--", label=learner)
                continue
            panel.plot(steps, middle, color=colour, label=learner)
            panel.fill_between(steps, low, high, color=colour, alpha=0.25, linewidth=0)
        for p in (p for p in published if p.task == task):
            colour = f"C{len(learners) + people.index(p.who)}"
            spot = {"fmt": "s", "markersize": 4, "capsize": 3, "color": colour}
            panel.errorbar(p.env_steps, p.mean, p.deviation, label=_name(p), **spot)
        panel.set_title(f"{task}, n = {', '.join(seeds)}", fontsize=10)
        panel.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k")
        panel.tick_params(labelsize=8)
    for panel in panels.flat[len(tasks) :]:
        panel.axis("off")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=8)
    figure.supxlabel("control steps", fontsize=9)
    figure.supylabel("return", fontsize=9)
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / f"learning_{name}.svg")
    plt.close(figure)


def study(
    name: str,
    jobs: tuple[Job, ...],
    published: tuple[Published, ...] = (),
    other: str | None = None,
) -> Study:
    """A study whose rows are evaluations."""
    beside = Path("results", "learning", f"{other}.csv") if other else None
    told = partial(report, name=name, published=published, other=beside)
    return Study("learning", name, jobs, told, learning_curve)


STUDIES = {
    "sac": study("sac", jobs("sac", SIX, 3), SAC),
    "simba": study("simba", jobs("simba", TWO, 3), SIMBA, other="sac"),
    "ppo": study("ppo", jobs("ppo", TWO, 3, "budget.env_steps=1000000"), PPO),
    "pong": study("pong", jobs("ppo", ("pong",), 1, "budget.env_steps=2500000")),
    "tdmpc2": study("tdmpc2", agents("tdmpc2", TDMPC2_TASKS, 30_000, 5000), TDMPC2),
    "pets": study("pets", agents("pets", ("cartpole-swingup", "cheetah-run"), 5000, 2500)),
    "mbpo": study("mbpo", agents("mbpo", ("cheetah-run",), 20_000, 5000), other="sac"),
    "muzero": study("muzero", jobs("muzero", ("pong",), 1, *GAME, group="agent"), MUZERO),
    "truth": study("truth", search_and_learning("walker-run", "hopper-hop")),
    "der": study("der", data_efficient_rainbow(), DER),
}

if __name__ == "__main__":
    main("Learning curves of all that learns.", STUDIES)
