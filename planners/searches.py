"""The searches of `planner=mcts`, by name."""

import inspect
from dataclasses import fields
from typing import Annotated, Any

from planners.fmc import FMC
from planners.interface import Planner
from planners.iw import IW
from planners.mcts import MCTS
from planners.rules import RULES
from suites.parameters import Count, OneOf, checked

OTHERS: dict[str, Any] = {"iw": IW, "fmc": FMC}
# Sequential halving shares out a budget that it knows; and all of a node's actions are open to it.
LACKING = {"gumbel": {"seconds", "widening", "exponent"}}


def _options(search: str) -> list[str]:
    names = list(inspect.signature(OTHERS.get(search, MCTS)).parameters)
    if search in RULES:
        names += [field.name for field in fields(RULES[search])]
    none = {"spec", "search", "budget", "options"} | LACKING.get(search, set())
    return [name for name in names if name not in none]


# The options of each search.
OPTIONS = {search: _options(search) for search in (*RULES, *OTHERS)}


@checked("planner")
def make_planner(
    spec: Any, search: Annotated[str, OneOf(OPTIONS)], budget: Count, **options: Any
) -> Planner:
    """The planner of `planner=mcts`. Options that are None keep the default of the search.

    Raises:
      ValueError: for an unknown search, an option that it does not have, or actions that it can't
        choose.
    """
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in OPTIONS[search]:
            raise ValueError(
                f"planner.{key}: search {search} has no such option; it has"
                f" {', '.join(OPTIONS[search])}"
            )
    if search in OTHERS:
        if not hasattr(spec.action_space, "n"):
            raise ValueError(
                f"planner.search={search} needs discrete actions, and task {spec.name} has"
                f" {spec.action_space}: choose one of {', '.join(RULES)}"
            )
        return OTHERS[search](spec, budget, **given)
    return MCTS(spec, search, budget, **given)
