"""Pictures of a decision, 1280 x 720: what the agent saw on the left, its search on the right."""

import heapq
import io

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import imsave

from suites.looking.scene import Line
from suites.looking.searches import Fan, Rows, Search, SearchTree

SIZE, DPI = (12.8, 7.2), 100
COLOURS = colormaps["viridis"]
CHOSEN = "#e8590c"  # what is executed
GREY, PALE = "#495057", "#ced4da"
# Of 18 actions, in `tab20`: the first grey, none of the orange.
ACTIONS = (14, 0, 4, 8, 16, 18, 12, 10, 1, 5, 9, 17, 19, 13, 11, 15, 6, 7)
LEVELS, BRANCHES, NODES = 4, 14, 40  # of a tree, at most
THIN, BOLD = 0.002, 0.007  # radius of lines in a scene, of the extent of all
SEGMENTS = 2000  # of lines in a scene, at most
LOW = 0.1  # quantile of the returns that has the darkest colour: a few are far worse than the rest


class Canvas:
    """A figure that is drawn on again and again."""

    def __init__(self) -> None:
        self.figure = Figure(SIZE, dpi=DPI)
        self.canvas = FigureCanvasAgg(self.figure)

    def draw(
        self, title: str, subtitle: str, picture: np.ndarray | None, search: Search
    ) -> np.ndarray:
        """The picture [720, 1280, 3] of a decision; without the left half if there is none."""
        figure = self.figure
        figure.clear()
        figure.text(0.02, 0.955, title, fontsize=15, weight="bold", va="center")
        figure.text(0.02, 0.908, subtitle, fontsize=11, color=GREY, va="center")
        left = 0.02
        if picture is not None:
            axes = figure.add_axes((0.02, 0.05, 0.42, 0.82))
            axes.imshow(picture, interpolation="nearest")
            axes.set_anchor("N")
            axes.set_axis_off()
            left = 0.46
        if isinstance(search, SearchTree):
            draw_tree(figure, search, left)
        elif isinstance(search, Fan):
            draw_fan(figure, search, left)
        else:
            draw_rows(figure, search, left)
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()


def png(picture: np.ndarray) -> bytes:
    """The content of a file."""
    content = io.BytesIO()
    imsave(content, picture, format="png", pil_kwargs={"optimize": True})
    return content.getvalue()


def shown_nodes(tree: SearchTree) -> list[int]:
    """The root, the most visited nodes of the upper levels, and the executed path, in order."""
    depth = np.zeros(len(tree.parent), int)
    children: list[list[int]] = [[] for _ in tree.parent]
    for node in range(1, len(tree.parent)):
        depth[node] = depth[tree.parent[node]] + 1
        children[tree.parent[node]].append(node)
    shown, inner = {0}, set()
    path = [node for node in tree.path() if depth[node] <= LEVELS]
    shown.update(path)
    inner.update(int(tree.parent[node]) for node in path)
    rows = 1
    heap = [(-int(tree.visits[n]), n) for parent in shown for n in children[parent]]
    heapq.heapify(heap)
    while heap and len(shown) < NODES:
        _, node = heapq.heappop(heap)
        parent = int(tree.parent[node])
        if node in shown or depth[node] > LEVELS:
            continue
        if parent in inner:
            if rows == BRANCHES:
                continue
            rows += 1
        inner.add(parent)
        shown.add(node)
        for child in children[node]:
            heapq.heappush(heap, (-int(tree.visits[child]), child))
    return sorted(shown)


def draw_tree(figure: Figure, tree: SearchTree, left: float) -> None:
    """A tree from left to right: on each branch its action, below it visits and value."""
    shown = shown_nodes(tree)
    below: dict[int, list[int]] = {node: [] for node in shown}
    for node in shown[1:]:
        below[int(tree.parent[node])].append(node)
    x, y, rows = {0: 0.0}, {}, 0

    def place(node: int) -> None:
        nonlocal rows
        for child in below[node]:
            x[child] = x[node] + 1
            place(child)
        if below[node]:
            y[node] = (y[below[node][0]] + y[below[node][-1]]) / 2
        else:
            y[node], rows = float(rows), rows + 1

    place(0)
    axes = figure.add_axes((left, 0.10, 0.985 - left, 0.77))
    axes.set_xlim(-0.5, max(1.0, *x.values()) + 0.1)
    axes.set_ylim(max(rows, 2) - 0.4, -0.6)
    axes.set_axis_off()
    note(
        figure,
        f"{tree.said}; {len(shown)} of {len(tree.parent)} nodes shown{tree.notation}",
        f"Below each action: {tree.counted} · value. In orange what is executed, and how the search"
        " would go on.",
    )
    values = np.array([tree.value[node] for node in shown[1:]])
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    scale = Normalize(low, high if high > low else low + 1)
    path, most = set(tree.path()), max(int(tree.visits[0]), 1)
    ways, widths = {}, {}
    for node in shown[1:]:
        parent, chosen = int(tree.parent[node]), node in path
        bend = x[parent] + 0.14
        ways[node] = [(x[parent], y[parent]), (bend, y[node]), (x[node], y[node])]
        widths[node] = 3.5 if chosen else 1 + 3 * tree.visits[node] / most
        above = axes.annotate(
            tree.action[node],
            (bend + 0.03, y[node]),
            (0, 3),
            textcoords="offset points",
            fontsize=9,
            zorder=4,
        )
        if chosen:
            above.set(color=CHOSEN, weight="bold")
        axes.annotate(
            f"{tree.visits[node]} · {number(tree.value[node])}",
            (bend + 0.03, y[node]),
            (0, -4),
            textcoords="offset points",
            va="top",
            fontsize=9,
            color=GREY,
            zorder=4,
        )
    order = sorted(ways, key=lambda node: node in path)
    axes.add_collection(
        LineCollection(
            [ways[node] for node in order],
            colors=[CHOSEN if node in path else PALE for node in order],
            linewidths=[widths[node] for node in order],
        )
    )
    axes.scatter(
        [x[node] for node in shown],
        [y[node] for node in shown],
        s=[40 + 260 * tree.visits[node] / most for node in shown],
        c=[PALE, *COLOURS(scale(values))],
        edgecolors="white",
        zorder=3,
    )
    axes.annotate(
        f"{tree.visits[0]}\n{number(tree.value[0])}",
        (0, y[0]),
        (-12, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=9,
        color=GREY,
    )
    if finite.size and high > low:
        bar = figure.add_axes((0.80, 0.045, 0.17, 0.014))
        figure.colorbar(ScalarMappable(scale, COLOURS), bar, orientation="horizontal")
        bar.set_title("value", fontsize=9, color=GREY, pad=3)
        bar.tick_params(labelsize=8, length=2)


def draw_fan(figure: Figure, fan: Fan, left: float) -> None:
    """The return so far of each plan, over simulated time."""
    axes = figure.add_axes((left + 0.06, 0.15, 0.87 - left, 0.70))
    returns, colours = fan.returns(), fan_colours(fan)
    finite = np.isfinite(returns)
    curves = [
        np.stack([fan.dt * np.arange(len(row) + 1), np.r_[0.0, np.cumsum(row)]], axis=1)
        for rewards in fan.rewards
        for row in rewards
    ]
    order = [k for k in np.argsort(returns, kind="stable") if finite[k]]
    axes.add_collection(
        LineCollection([curves[k] for k in order], colors=colours[order], linewidths=0.8)
    )
    chosen = np.r_[0.0, np.cumsum(fan.chosen_rewards[0])]
    times = fan.dt * np.arange(len(chosen))
    axes.plot(times, chosen, color="white", linewidth=5)
    axes.plot(times, chosen, color=CHOSEN, linewidth=3)
    axes.annotate(
        f"executed\n{number(chosen[-1])}",
        (times[-1], chosen[-1]),
        (6, 0),
        textcoords="offset points",
        color=CHOSEN,
        weight="bold",
        fontsize=10,
        va="center",
    )
    axes.autoscale_view()
    axes.set_xlim(0, None)
    axes.set_xlabel("simulated time ahead, s")
    axes.set_ylabel("predicted return so far")
    axes.spines[["top", "right"]].set_visible(False)
    diverged = int((~finite).sum())
    said = fan.said + (f"; {diverged} diverge, and are left out" if diverged else "")
    note(figure, said, "Each line is a plan, the brighter the better. In orange what is executed.")


def fan_colours(fan: Fan) -> np.ndarray:
    """Colours [K, 4] of the plans by their returns."""
    returns = fan.returns()
    finite = returns[np.isfinite(returns)]
    low, high = (np.quantile(finite, LOW), finite.max()) if finite.size else (0.0, 1.0)
    return COLOURS(Normalize(low, max(high, low + 1e-9), clip=True)(np.nan_to_num(returns)))


def fan_lines(fan: Fan, points: list[np.ndarray], chosen: np.ndarray) -> list[Line]:
    """Lines in space of plans, by points [K, H + 1, 3] of each call; worst first, chosen last."""
    colours, returns = fan_colours(fan), fan.returns()
    every = [way for group in points for way in group]
    stride = -(-sum(len(way) - 1 for way in every) // SEGMENTS)
    lines = []
    for k in np.argsort(returns, kind="stable"):
        if np.isfinite(returns[k]):
            red, green, blue, _ = colours[k]
            lines.append(Line(every[k][::stride], (red, green, blue, 1.0), THIN))
    red, green, blue = (int(CHOSEN[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return [*lines, Line(chosen, (red, green, blue, 1.0), BOLD)]


def draw_rows(figure: Figure, rows: Rows, left: float) -> None:
    """Actions over the horizon as a map, best on top, with returns; and the first actions."""
    n, steps = rows.actions.shape
    palette = ListedColormap(
        ["white", *colormaps["tab20"]([ACTIONS[a % len(ACTIONS)] for a in range(len(rows.names))])]
    )
    wide = 0.985 - left
    axes = figure.add_axes((left + 0.055, 0.34, 0.66 * wide, 0.50))
    axes.imshow(
        rows.actions,
        aspect="auto",
        cmap=palette,
        vmin=-1.5,
        vmax=len(rows.names) - 0.5,
        interpolation="nearest",
    )
    axes.set_xlabel("control steps ahead")
    axes.set_ylabel(f"{n} {rows.kind}, best first")
    axes.set_xticks(range(0, steps, max(1, steps // 10)))
    beside = figure.add_axes((left + 0.055 + 0.68 * wide, 0.34, 0.20 * wide, 0.50), sharey=axes)
    finite = np.where(np.isfinite(rows.returns), rows.returns, 0.0)
    beside.barh(np.arange(n), finite, height=0.8, color=GREY)
    beside.tick_params(labelleft=False)
    beside.set_xlabel("return")
    beside.spines[["top", "right"]].set_visible(False)
    bars = figure.add_axes((left + 0.055, 0.13, 0.90 * wide - 0.01, 0.12))
    colours = [palette(1 + a) for a in range(len(rows.names))]
    edges = [CHOSEN if a == rows.chosen else "none" for a in range(len(rows.names))]
    drawn = bars.bar(
        range(len(rows.names)), rows.counts, color=colours, edgecolor=edges, linewidth=2.5
    )
    bars.bar_label(drawn, fontsize=9, padding=2)
    bars.set_ylim(0, 1.35 * max(rows.counts.max(), 1))
    many = len(rows.names) > 9
    bars.set_xticks(
        range(len(rows.names)),
        rows.names,
        fontsize=7 if many else 9,
        rotation=35 if many else 0,
        ha="right" if many else "center",
    )
    bars.get_xticklabels()[rows.chosen].set(color=CHOSEN, weight="bold")
    bars.set_ylabel("first action")
    bars.set_yticks([])
    bars.spines[["top", "right", "left"]].set_visible(False)
    note(figure, rows.said, "In orange what is executed.")


def note(figure: Figure, *lines: str) -> None:
    """Lines at the foot of the picture."""
    for i, line in enumerate(lines):
        figure.text(0.02, 0.055 - 0.03 * i, line, fontsize=10, color=GREY, va="center")


def number(value: float) -> str:
    """A few digits."""
    if not np.isfinite(value):
        return "-"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"
