"""Real time: a search that begins no new round when its seconds are over."""

import time


class Clock:
    """Counts down from when it is made.

    Arguments:
      seconds: None for no limit.
    """

    def __init__(self, seconds: float | None):
        self._end = None if seconds is None else time.perf_counter() + seconds

    @property
    def over(self) -> bool:
        """Whether the seconds are over."""
        return self._end is not None and time.perf_counter() >= self._end


def check_seconds(seconds: float | None) -> None:
    """Refuse what is no time.

    Raises:
      ValueError: says so.
    """
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and 0 < seconds < float("inf")):
        raise ValueError(f"planner.seconds is {seconds!r}: give a number above 0, or null")
