"""A task of one's own for tests: a pole on a hinge, an episode of which takes a second."""

import math

import mujoco
import numpy as np

from suites.tasks.control import ControlTask, own_task
from suites.tasks.control.physics import observation, physics, scalar
from suites.tasks.control.twin import Twin

MJCF = """
<mujoco>
  <worldbody>
    <body name="pole">
      <joint name="hinge" axis="0 1 0" damping="0.1"/>
      <geom type="capsule" fromto="0 0 0 0 0 0.5" size="0.02"/>
    </body>
  </worldbody>
  <actuator><motor joint="hinge" gear="5" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


@observation
def observe(table, out):
    out[0], out[1] = physics(table).qpos[0], physics(table).qvel[0]


@scalar
def upright(table):
    return math.cos(physics(table).qpos[0])


@scalar
def broken(table):
    return math.nan * physics(table).qpos[0]


def initialise(model: mujoco.MjModel, data: mujoco.MjData, random: np.random.RandomState) -> None:
    data.qpos[0] = random.uniform(-1, 1)


def make(num_envs: int, threads: int, reward: str) -> ControlTask:
    return own_task(
        "pole",
        mujoco.MjModel.from_xml_string(MJCF),
        initialise,
        Twin(observe, {"upright": upright, "broken": broken}[reward]),
        observation_size=2,
        control_dt=0.02,
        seconds=1.0,
        num_envs=num_envs,
        threads=threads,
    )
