"""How often a learner with a memory learns: so many gradient steps per decision."""

from typing import Any


class Pace:
    """Counts what is due.

    Arguments:
      ratio: Gradient steps per decision, after the first `warmup` decisions.
      pretraining: Gradient steps at once, when these are over.
      refill: Decisions until a memory that was lost is learned from again; None: `warmup`.

    Attributes:
      seen: Decisions so far.
    """

    def __init__(self, ratio: float, warmup: int, pretraining: int = 0, refill: int | None = None):
        self.ratio, self.warmup, self.pretraining = ratio, warmup, pretraining
        self.refill = warmup if refill is None else refill
        self.seen = self._settled = 0

    @property
    def warming(self) -> bool:
        """Whether the first decisions are still being made."""
        return self.seen < self.warmup

    def due(self, source: Any) -> int:
        """The gradient steps that the decisions since the last call call for.

        A memory that was lost (`source.forgotten`) fills again before it is learned from, and what
        was due meanwhile is not made up for.
        """
        self.seen = source.added
        total = int(self.ratio * max(self.seen - self.warmup, 0))
        total += 0 if self.warming else self.pretraining
        due, self._settled = total - self._settled, total
        filling = source.forgotten and self.seen - source.forgotten < self.refill
        return 0 if filling else due

    def state(self) -> tuple[int, int]:
        """Its counters."""
        return self.seen, self._settled

    def load(self, state: tuple[int, int]) -> None:
        """Become what `state` said."""
        self.seen, self._settled = state
