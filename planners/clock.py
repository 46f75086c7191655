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
