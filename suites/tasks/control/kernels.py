"""The hot loops: step environments, roll out candidate plans, evaluate states. All release the GIL.

A state is a row of float64: MuJoCo's integration state, the sensor readings (those of the
acceleration stage can't be recomputed without a step), and the model fields that resets write.

Stepping follows `dm_control.mujoco.Physics.step`, so that positions, velocities and sensors are in
step with the state when the reward is read: `mj_step2`, n - 1 times `mj_step`, `mj_step1`; with RK4
n times `mj_step`, then `mj_step1`.
"""

import numpy as np
from numba import carray, njit

from suites.tasks.control.physics import (
    MODEL_FIELDS,
    STATE,
    as_float64,
    as_int32,
    call_observe,
    call_scalar,
    mj_getState,
    mj_setState,
    mj_step,
    mj_step1,
    mj_step2,
    physics,
)


@njit(nogil=True, cache=True)
def warnings(table):
    """Number of MuJoCo's warnings so far: after a divergence it has grown."""
    counters = carray(as_int32(table[2]), (table[3],))
    total = 0
    for i in range(counters.size):
        total += counters[i]
    return total


@njit(nogil=True, cache=True)
def _read(table, n_integration, row):
    mj_getState(table[0], table[1], row.ctypes.data, STATE)
    at = n_integration
    sensors = physics(table).sensordata
    for i in range(sensors.size):
        row[at + i] = sensors[i]
    at += sensors.size
    for field in range(MODEL_FIELDS, table.size, 2):
        values = carray(as_float64(table[field]), (table[field + 1],))
        for i in range(values.size):
            row[at + i] = values[i]
        at += values.size


@njit(nogil=True, cache=True)
def _write(table, n_integration, row):
    """Set state and model fields; what follows from them is stale until a step or `_settle`."""
    mj_setState(table[0], table[1], row.ctypes.data, STATE)
    at = n_integration + physics(table).sensordata.size
    for field in range(MODEL_FIELDS, table.size, 2):
        values = carray(as_float64(table[field]), (table[field + 1],))
        for i in range(values.size):
            values[i] = row[at + i]
        at += values.size


@njit(nogil=True, cache=True)
def _settle(table, n_integration, row):
    """After `_write`: bring positions, velocities and sensors in step with the state."""
    mj_step1(table[0], table[1])
    sensors = physics(table).sensordata
    for i in range(sensors.size):
        sensors[i] = row[n_integration + i]


@njit(nogil=True, cache=True)
def read_states(tables, n_integration, rows):
    """Write the state of `tables[b]` into `rows[b]`."""
    for b in range(tables.shape[0]):
        _read(tables[b], n_integration, rows[b])


@njit(nogil=True, cache=True)
def write_states(tables, n_integration, rows):
    """Set the state of `tables[b]` to `rows[b]`, ready to observe and to step."""
    for b in range(tables.shape[0]):
        _write(tables[b], n_integration, rows[b])
        _settle(tables[b], n_integration, rows[b])


@njit(nogil=True, cache=True)
def observe_states(table, observe, n_integration, rows, out, start, stop):
    """Observations `out[n]` of the states `rows[n]`."""
    for n in range(start, stop):
        _write(table, n_integration, rows[n])
        _settle(table, n_integration, rows[n])
        call_observe(observe, table.ctypes.data, out[n].ctypes.data)


@njit(nogil=True, cache=True)
def observe_present(tables, observe, out):
    """Observations `out[b]` of the environments behind `tables[b]` as they stand."""
    for b in range(tables.shape[0]):
        call_observe(observe, tables[b].ctypes.data, out[b].ctypes.data)


@njit(nogil=True, cache=True)
def step_environments(
    tables, functions, substeps, rk4, actions, observations, rewards, terminated, start, stop
):
    """One control step of environments `start` to `stop`. A diverged one gets a NaN reward."""
    observe, reward, terminate = functions
    for b in range(start, stop):
        table = tables[b]
        before = warnings(table)
        ctrl = physics(table).ctrl
        for j in range(ctrl.size):
            ctrl[j] = actions[b, j]
        _advance(table, substeps, rk4, True)
        rewards[b] = call_scalar(reward, table.ctypes.data)
        call_observe(observe, table.ctypes.data, observations[b].ctypes.data)
        terminated[b] = terminate != 0 and call_scalar(terminate, table.ctypes.data) > 0.0
        if warnings(table) != before:
            rewards[b] = np.nan


@njit(nogil=True, cache=True)
def _advance(table, substeps, rk4, in_step):
    """`substeps` of physics. `in_step`: `mj_step1` has been called for the present state."""
    model, data = table[0], table[1]
    full = substeps
    if in_step and not rk4:
        mj_step2(model, data)
        full -= 1
    for _ in range(full):
        mj_step(model, data)
    mj_step1(model, data)


@njit(nogil=True, cache=True)
def rollout(
    table,
    functions,
    substeps,
    rk4,
    n_integration,
    roots,
    root_of,
    plans,
    rewards,
    continuation,
    last,
    start,
    stop,
):
    """Score the plans `start` to `stop`, each from its own root.

    Arguments:
      roots: [B, S] states. root_of: [N] the root of each plan. plans: [N, H, A].
      rewards, continuation: [N, H], written. After a termination rewards and continuation are 0.
        A plan on which the physics diverges has NaN rewards from there on.
      last: [N, S], written: the state in which the plan ends.
    """
    observe, reward, terminate = functions
    horizon = plans.shape[1]
    for n in range(start, stop):
        _write(table, n_integration, roots[root_of[n]])
        before = warnings(table)
        in_step = False  # the first mj_step does what a _settle would
        ctrl = physics(table).ctrl
        alive = 1.0
        for h in range(horizon):
            if alive == 0.0:
                rewards[n, h] = 0.0
                continuation[n, h] = 0.0
                continue
            for j in range(ctrl.size):
                ctrl[j] = plans[n, h, j]
            _advance(table, substeps, rk4, in_step)
            in_step = True
            if warnings(table) != before:
                rewards[n, h:] = np.nan
                continuation[n, h:] = 0.0
                break
            rewards[n, h] = call_scalar(reward, table.ctypes.data)
            if terminate != 0 and call_scalar(terminate, table.ctypes.data) > 0.0:
                alive = 0.0
            continuation[n, h] = alive
        _read(table, n_integration, last[n])
