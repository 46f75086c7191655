"""What searches score on Atari games: `python -m benchmarks.games STUDY`.

Studies: `deterministic`, and `sticky` with sticky actions whose dice the search does not know. At
most 5,000 emulated frames per decision, 15 frames per decision, episodes of 18,000 frames, one
setting of each search for all games. See `benchmarks.study`.
"""

from collections.abc import Iterator
from functools import partial
from statistics import fmean
from typing import Any

from benchmarks.study import Job, Study, job, main, means
from suites.tasks.atari_names import SCORES

FRAMES, SKIP, EPISODE = 5000, 15, 18_000
SEARCHES = {
    "iw": ("planner=iw",),
    "fmc": ("planner=mcts", "planner.search=fmc"),
    "uct": ("planner=mcts", "planner.search=uct"),
    "puct": ("planner=mcts", "planner.search=puct"),
    "gumbel": ("planner=mcts", "planner.search=gumbel"),
    "mpc": ("planner=mpc",),
}
GAMES = (
    "breakout",
    "pong",
    "freeway",
    "seaquest",
    "space_invaders",
    "qbert",
    "beam_rider",
    "ms_pacman",
)
# Published, in the order of GAMES. Rollout IW(1) on B-PROST features with risk aversion and
# subscores, half a second per decision, 15 frames a decision (Bandres, Bonet and Geffner 2018).
ROLLOUT_IW = (79.8, -1.4, 3.6, 1236, 1812, 14160, 3729, 13747)
# UCT, 150,000 frames per decision, 5 frames a decision (Bellemare et al. 2013).
UCT = (364, 21, 0, 5132, 2718, 17343, 6625, 22336)
REFERENCES = {"Rollout IW, 0.5 s": ROLLOUT_IW, "UCT, 150,000 frames": UCT}


def jobs(sticky: float) -> Iterator[Job]:
    """Every search on every game, 3 seeds."""
    for seed in range(3):
        for search, words in SEARCHES.items():
            overrides = (
                *words,
                f"planner.budget={FRAMES}",
                f"task.frame_skip={SKIP}",
                f"task.max_frames={EPISODE}",
                f"task.sticky={sticky}",
                "evaluation.episodes=1",
            )
            for game in GAMES:
                yield job(overrides, task=game, search=search, seed=seed)


def report(rows: list[dict[str, Any]], references: dict[str, tuple[float, ...]]) -> str:
    """Game by search: means of the scores, and of the human-normalised ones."""
    table = means(rows, "task", "search")
    searches = [name for name in SEARCHES if any(search == name for _, search in table)]
    head = ["game", *searches, *references]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for game, *published in zip(GAMES, *references.values(), strict=True):
        found = {search: table[game, search] for search in searches if (game, search) in table}
        best = max((mean for mean, _ in found.values()), default=None)
        cells = [_cell(*found[s], found[s][0] == best) if s in found else "" for s in searches]
        lines.append(f"| {game} | " + " | ".join([*cells, *map(str, published)]) + " |")
    columns = [
        [_normalised(game, table[game, search][0]) for game in GAMES if (game, search) in table]
        for search in searches
    ]
    columns += [
        [_normalised(game, score) for game, score in zip(GAMES, published, strict=True)]
        for published in references.values()
    ]
    cells = [f"{fmean(c):.2f}" + (f" of {len(c)}" if len(c) < len(GAMES) else "") for c in columns]
    lines.append("| human-normalised mean | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(mean: float, seeds: int, best: bool) -> str:
    text = f"{mean:,.0f}" if abs(mean) >= 100 else f"{mean:.1f}"
    return f"{f'**{text}**' if best else text} ({seeds})"


def _normalised(game: str, score: float) -> float:
    random, human = SCORES[game]
    return (score - random) / (human - random)


STUDIES = {
    "deterministic": Study(
        "atari", "deterministic", tuple(jobs(0.0)), partial(report, references=REFERENCES)
    ),
    "sticky": Study("atari", "sticky", tuple(jobs(0.25)), partial(report, references={})),
}

if __name__ == "__main__":
    main("What searches score on Atari games.", STUDIES)
