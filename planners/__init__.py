"""Planners decide by search. NumPy and Numba; no torch, no environment code."""
