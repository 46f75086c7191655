"""The left half of a picture: a game's frame, or a MuJoCo scene with lines along the plans."""

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from suites.environment import complain, drawing_environment
from suites.looking.scene import Line, send
from suites.looking.searches import Fan
from suites.tasks import registry

# The picture [height, width, 3] of a task's state [S] with lines; None where it can't be drawn.
Draw = Callable[[np.ndarray, list[Line]], np.ndarray | None]


@contextmanager
def stage(settings: dict[str, Any], task: Any) -> Iterator[Draw]:
    """What draws the states of a task, of these settings. Where it can't, it complains once."""
    if hasattr(task, "picture"):
        other = registry.make(settings)  # drawing loses the state of the task that draws
        other.reset(seed=0)
        yield lambda state, lines: other.picture(state)
    elif hasattr(task.simulation, "model"):
        with _scenes(settings) as draw:
            yield draw
    else:
        yield lambda state, lines: None


@contextmanager
def _scenes(settings: dict[str, Any]) -> Iterator[Draw]:
    command = [sys.executable, "-m", "suites.looking.scene"]
    pipe = subprocess.PIPE
    artist = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=drawing_environment()
    )
    assert artist.stdout is not None
    answers, broken = artist.stdout, False

    def draw(state: np.ndarray, lines: list[Line]) -> np.ndarray | None:
        nonlocal broken
        if broken:
            return None
        try:
            send(artist.stdin, (state, lines))
            picture, reason = pickle.load(answers)
        except (EOFError, BrokenPipeError):
            picture, reason = None, f"drawing ended with exit code {artist.wait()}"
        if picture is None:
            broken = True
            complain(f"no scene beside the search: {reason}")
        return picture

    try:
        send(artist.stdin, settings)
        yield draw
    finally:
        artist.kill()
        artist.communicate()


@dataclass
class Telling:
    """A point of a robot that tells how it moves: fixed to a body, with an offset [3] in m."""

    body: int
    offset: np.ndarray
    name: str


def telling(model: Any) -> Telling:
    """The tip of an arm, the torso of an animal, or what else moves the most."""
    import mujoco

    def find(kind: Any, name: str) -> int:
        return mujoco.mj_name2id(model, kind, name)

    for kind, name in (("site", "tip"), ("body", "torso"), ("site", "pinch"), ("body", "head")):
        index = find(getattr(mujoco.mjtObj, f"mjOBJ_{kind.upper()}"), name)
        if index >= 0 and kind == "site":
            return Telling(int(model.site_bodyid[index]), model.site_pos[index].copy(), name)
        if index >= 0:
            return Telling(index, np.zeros(3), name)
    free = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)
    body = int(model.jnt_bodyid[free[0] if free.size else -1])
    name = model.body(body).name or f"body {body}"
    geoms = np.flatnonzero(model.geom_bodyid == body)
    if free.size or not geoms.size:
        return Telling(body, np.zeros(3), name)
    # The far end of its last geometry.
    geom = int(geoms[-1])
    axis, offset = np.zeros(9), model.geom_pos[geom].copy()
    long = (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER)
    if int(model.geom_type[geom]) in map(int, long):
        mujoco.mju_quat2Mat(axis, model.geom_quat[geom])
        half = axis.reshape(3, 3)[:, 2] * model.geom_size[geom, 1]
        offset = max(offset + half, offset - half, key=lambda x: float(np.sum(x**2)))
    return Telling(body, offset, name)


def trace_fan(fan: Fan, model: Any, state: Any) -> tuple[tuple[list[np.ndarray], np.ndarray], str]:
    """Where the plans of each call and the chosen one lead, and what that is, in words."""
    every = [*fan.plans, fan.chosen]
    ahead = max(plans.shape[1] for plans in every)
    held = [plans[:, np.minimum(np.arange(ahead), plans.shape[1] - 1)] for plans in every]
    positions, name = traces(model, state, np.concatenate(held))
    ends = np.cumsum([len(plans) for plans in every])[:-1]
    parts = np.split(positions, ends)
    ways = [part[:, : plans.shape[1] + 1] for part, plans in zip(parts, every, strict=True)]
    return (ways[:-1], ways[-1][0]), f"; lines: predicted paths of {name}"


def traces(model: Any, state: Any, plans: np.ndarray) -> tuple[np.ndarray, str]:
    """Where plans [K, H, A] take the telling point: [K, H + 1, 3] in m, and its name.

    Arguments:
      model: A world model of true physics.
      state: Its state [1, S].
    """
    import mujoco

    physics = model.simulation.model
    data, point = mujoco.MjData(physics), telling(physics)
    states = np.repeat(state, len(plans), axis=0)
    alive = np.ones(len(plans), bool)
    positions = np.empty((len(plans), plans.shape[1] + 1, 3))

    def place(h: int) -> None:
        for k, row in enumerate(states):
            if alive[k]:
                data.qpos[:] = row[1 : 1 + physics.nq]  # the state begins with the time
                mujoco.mj_kinematics(physics, data)
                frame = data.xmat[point.body].reshape(3, 3)
                positions[k, h] = data.xpos[point.body] + frame @ point.offset
            else:
                positions[k, h] = positions[k, h - 1]

    place(0)
    for h in range(plans.shape[1]):
        states, rewards, continuation = model.step(states, plans[:, h])
        alive &= np.isfinite(rewards)
        place(h + 1)
        alive &= continuation != 0
    return positions, point.name
