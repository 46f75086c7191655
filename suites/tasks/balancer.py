"""A robot on two wheels drives to a place and stands there without falling over.

The example of `docs/own_task.md`: a task of your own is a file like this one and a yaml.
"""

import math

import mujoco
import numpy as np
from numba import njit

from suites.tasks.control import ControlTask, own_task
from suites.tasks.control.physics import X, Y, Z, observation, physics, scalar
from suites.tasks.control.rewards import INF, linear, long_tail
from suites.tasks.control.twin import Twin, body, sensor, site

MJCF = """
<mujoco model="balancer">
  <option timestep="0.005" integrator="implicitfast"/>
  <visual><headlight ambient="0.5 0.5 0.5"/></visual>
  <asset>
    <texture name="tiles" type="2d" builtin="checker" width="64" height="64"
             rgb1="0.25 0.3 0.35" rgb2="0.2 0.25 0.3"/>
    <material name="tiles" texture="tiles" texrepeat="10 10"/>
  </asset>
  <default>
    <joint damping="0.005" armature="0.002"/>
    <motor ctrlrange="-1 1" gear="1.5"/>
    <default class="wheel">
      <geom type="cylinder" size="0.1 0.02" zaxis="0 1 0" mass="0.4" rgba="0.1 0.1 0.1 1"/>
    </default>
  </default>
  <worldbody>
    <camera name="fixed" pos="0 -4.5 2.5" xyaxes="1 0 0 0 0.5 0.87"/>
    <geom name="floor" type="plane" size="5 5 0.1" material="tiles"/>
    <!-- Not at the origin: MuJoCo never reads the site_pos of a site that was compiled there. -->
    <site name="target" pos="1 0 0.002" type="cylinder" size="0.2 0.002" rgba="0.9 0.5 0.1 1"/>
    <body name="chassis" pos="0 0 0.1">
      <freejoint/>
      <geom name="mast" type="box" size="0.03 0.08 0.25" pos="0 0 0.25" mass="2"/>
      <geom name="head" type="box" size="0.05 0.1 0.04" pos="0 0 0.54" mass="1"
            rgba="0.9 0.5 0.1 1"/>
      <site name="imu"/>
      <body name="left" pos="0 0.12 0">
        <joint name="left" axis="0 1 0"/>
        <geom name="left" class="wheel"/>
      </body>
      <body name="right" pos="0 -0.12 0">
        <joint name="right" axis="0 1 0"/>
        <geom name="right" class="wheel"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="left" joint="left"/>
    <motor name="right" joint="right"/>
  </actuator>
  <sensor>
    <velocimeter name="velocity" site="imu"/>
    <gyro name="turning" site="imu"/>
    <jointvel name="left" joint="left"/>
    <jointvel name="right" joint="right"/>
  </sensor>
</mujoco>
"""

OBSERVATION_SIZE = 13
FARTHEST = 2.0  # m from the start to the target
NEAR = 0.2  # m from the target that count as there
FALLEN = 0.5  # height of the mast's direction below which the robot has fallen


def initialise(model: mujoco.MjModel, data: mujoco.MjData, random: np.random.RandomState) -> None:
    """A new place for the target, and the robot upright but for a slight lean."""
    angle, distance = random.uniform(-math.pi, math.pi), random.uniform(0.5, FARTHEST)
    target = site(model, "target")
    model.site_pos[target, :2] = distance * math.cos(angle), distance * math.sin(angle)
    lean = random.uniform(-0.1, 0.1)
    data.qpos[3:7] = math.cos(lean / 2), 0.0, math.sin(lean / 2), 0.0


@njit(cache=True)
def _offset(p, chassis, target):
    """From the robot to the target on the floor, in world axes."""
    x = p.site_xpos[target, X] - p.xpos[chassis, X]
    y = p.site_xpos[target, Y] - p.xpos[chassis, Y]
    return x, y


def twin(model: mujoco.MjModel) -> Twin:
    """Observation, reward and termination in machine code."""
    chassis, target = body(model, "chassis"), site(model, "target")
    velocity = sensor(model, "velocity")  # the first of the 8 numbers of all sensors

    @observation
    def observe(table, out):
        """The target seen from the robot, its three axes' lean, velocities."""
        p = physics(table)
        x, y = _offset(p, chassis, target)
        frame = p.xmat[chassis]  # its columns are the robot's axes
        out[0] = x * frame[X, X] + y * frame[Y, X]
        out[1] = x * frame[X, Y] + y * frame[Y, Y]
        for axis in range(3):
            out[2 + axis] = frame[Z, axis]
        for i in range(8):
            out[5 + i] = p.sensordata[velocity + i]

    @scalar
    def reward(table):
        p = physics(table)
        x, y = _offset(p, chassis, target)
        there = long_tail(math.sqrt(x * x + y * y), 0.0, NEAR, FARTHEST / 2)
        upright = linear(p.xmat[chassis, Z, Z], 0.95, INF, 0.45, 0.0)
        return upright * there

    @scalar
    def terminated(table):
        return 1.0 if physics(table).xmat[chassis, Z, Z] < FALLEN else 0.0

    # `initialise` writes the target into the model, so its place is part of the state.
    return Twin(observe, reward, terminated, model_fields=("site_pos",))


def make(name: str = "balancer", num_envs: int = 1, threads: int = 1) -> ControlTask:
    """The task, as the yaml's `_target_` calls it."""
    model = mujoco.MjModel.from_xml_string(MJCF)
    return own_task(
        name,
        model,
        initialise,
        twin(model),
        observation_size=OBSERVATION_SIZE,
        control_dt=0.02,
        seconds=10.0,
        num_envs=num_envs,
        threads=threads,
    )
