"""The rules by which a tree search chooses, UCT, PUCT and Gumbel, and their options."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from suites.parameters import Range, Share, checked

UCB, PROBABLE, HALVING = 0, 1, 2  # kinds of rules


@checked("planner")
@dataclass(frozen=True)
class UCT:
    """UCB1 at every node (Kocsis and Szepesvari 2006, section 2.2), on values in [0, 1].

    Attributes:
      exploration: C in Q + C sqrt(ln N / n).
    """

    exploration: Annotated[float, Range(0.0, 1e6)] = 0.3

    @property
    def greedy(self) -> "UCT":
        """The same without noise at the root: it has none."""
        return self

    def rule(self, normalise: str | None) -> tuple[int, float, float, bool]:
        """The first four fields of `RULE`."""
        return UCB, float(self.exploration), 0.0, normalise != "node"


@checked("planner")
@dataclass(frozen=True)
class PUCT:
    """The prior's probabilities guide (Silver et al. 2018; Schrittwieser et al. 2020, appendix B).

    Attributes:
      pb_c_init, pb_c_base: c1 and c2 of MuZero's equation 2.
      dirichlet_fraction: Weight of noise in the root's prior: 0 in evaluation, 0.25 in training.
      dirichlet_alpha: Its concentration.
    """

    pb_c_init: Annotated[float, Range(0.0, 1e6)] = 1.25
    pb_c_base: Annotated[float, Range(1.0, 1e9)] = 19652.0
    dirichlet_fraction: Share = 0.0
    dirichlet_alpha: Annotated[float, Range(1e-3, 1e3)] = 0.3

    @property
    def greedy(self) -> "PUCT":
        """The same without noise at the root."""
        return replace(self, dirichlet_fraction=0.0)

    def rule(self, normalise: str | None) -> tuple[int, float, float, bool]:
        """The first four fields of `RULE`."""
        return PROBABLE, float(self.pb_c_init), float(self.pb_c_base), normalise != "node"


@checked("planner")
@dataclass(frozen=True)
class Gumbel:
    """Policy improvement by planning with Gumbel (Danihelka et al. 2022).

    Attributes:
      considered: Actions that sequential halving begins with at the root.
      gumbel_scale: Of the noise that draws them; 0 takes the most probable ones.
      value_scale, maxvisit_init: c_scale and c_visit of equation 8.
    """

    considered: Annotated[int, Range(1, 100_000)] = 16
    gumbel_scale: Annotated[float, Range(0.0, 1e3)] = 1.0
    value_scale: Annotated[float, Range(0.0, 1e6)] = 0.1
    maxvisit_init: Annotated[float, Range(0.0, 1e6)] = 50.0

    @property
    def greedy(self) -> "Gumbel":
        """The same without noise at the root."""
        return replace(self, gumbel_scale=0.0)

    def rule(self, normalise: str | None) -> tuple[int, float, float, bool]:
        """The first four fields of `RULE`."""
        return HALVING, float(self.value_scale), float(self.maxvisit_init), normalise == "tree"


RULES = {"uct": UCT, "puct": PUCT, "gumbel": Gumbel}


RULE = np.dtype(
    [
        ("kind", np.int64),
        # exploration; or pb_c_init and pb_c_base; or value_scale and maxvisit_init
        ("first", np.float64),
        ("second", np.float64),
        # Whether values are normalised by the extremes of the tree, as in MuZero, or by those of a
        # node and its children.
        ("by_tree", np.bool_),
        # A node with N visits has widening * N^exponent actions open.
        ("widening", np.float64),
        ("exponent", np.float64),
        ("discount", np.float64),  # of an edge
        ("leaves", np.int64),  # selected per tree in a round
        ("outcomes", np.int64),  # next states kept per action
    ],
    align=True,
)
