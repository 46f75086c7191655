"""Learners learn a policy and a value. torch; no Numba, no environment code."""
