"""Shared by all tests."""

import os

os.environ.setdefault("MUJOCO_GL", "disable")  # no test of physics needs a screen
