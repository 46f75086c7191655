"""Planners decide by search. NumPy and Numba; no torch, no environment code."""

import suites.tasks.compile_cache  # noqa: F401  (before the first compiled function)
