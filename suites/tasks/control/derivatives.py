"""Derivatives of physics and reward by finite differences, and rollouts under feedback.

MuJoCo's own `mjd_transitionFD` refuses the RK4 integrator and knows no rewards. Here a control step
with all its substeps is what is differentiated, for every integrator.

A tangent vector has the size n = 2 nv + na: the difference of positions as MuJoCo defines it (for a
quaternion a rotation vector), then velocities, then activations. A displacement has A more numbers
for the controls. What else a state row holds (time, warm start, sensors, model fields) stays fixed.
"""

import numpy as np
from numba import njit

from suites.tasks.control.atomics import add
from suites.tasks.control.kernels import advance, read_state, warnings, write_state
from suites.tasks.control.physics import (
    call_scalar,
    mj_differentiatePos,
    mj_integratePos,
    mj_step1,
    physics,
)
from suites.tasks.control.simulation import Simulation, control_range

# Dynamics: small, so that few differences reach over the edge of a contact; the rounding error is
# 1e-16 over the step, and the truncation error its square. Rewards: second differences, whose
# rounding error is 1e-16 over the square of the step: 1e-8.
STEP_EPSILON = 1e-6
REWARD_EPSILON = 1e-4

_QPOS = 1  # where the positions begin in a state row, after the time


def tangent_size(simulation: Simulation) -> int:
    """The n of these shapes."""
    return int(2 * simulation.model.nv + simulation.model.na)


def feedback_rollout(
    simulation: Simulation,
    roots: np.ndarray,
    plans: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    gains: np.ndarray,
    reference: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rewards, continuation, actions and states of u = clip(plan + gains (x - reference)).

    Arguments:
      roots: States [B, S]. plans: [B, K, H, A]. low, high: [A], bounds of u.
      gains: [B, H, A, n]. reference: States [B, H + 1, S]; with H = 0 in both there is no feedback.

    Returns:
      [B, K, H], [B, K, H], [B, K, H, A] and [B, K, H + 1, S]. After a termination rewards and
      continuation are 0, and the state stays; after a divergence rewards are NaN.
    """
    batch, candidates, horizon, size = plans.shape
    n = batch * candidates
    actions = np.array(plans, np.float64).reshape(n, horizon, size)
    rewards, continuation = np.empty((n, horizon)), np.empty((n, horizon))
    states = np.empty((n, horizon + 1, roots.shape[-1]))
    simulation.spread(
        n,
        feedback_kernel,
        simulation.functions,
        simulation.substeps,
        simulation.rk4,
        simulation.integration_size,
        np.ascontiguousarray(roots),
        np.repeat(np.arange(batch), candidates),
        np.asarray(low, np.float64),
        np.asarray(high, np.float64),
        np.ascontiguousarray(gains),
        np.ascontiguousarray(reference),
        rewards,
        continuation,
        actions,
        states,
    )
    shape = (batch, candidates, horizon)
    return (
        rewards.reshape(shape),
        continuation.reshape(shape),
        actions.reshape(plans.shape),
        states.reshape(batch, candidates, horizon + 1, -1),
    )


def step_derivatives(
    simulation: Simulation, states: np.ndarray, actions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Central differences of a control step at states [N, S] with actions [N, A].

    An action at its bound is moved to one side only. Takes 2 (n + A) control steps each.

    Returns:
      Jacobian [N, n, n + A] of the next state, gradient [N, n + A] of the step's reward.
    """
    n, d = tangent_size(simulation), tangent_size(simulation) + simulation.action_size
    jacobian, gradient = np.empty((len(states), n, d)), np.empty((len(states), d))
    simulation.spread(
        len(states),
        step_kernel,
        simulation.functions,
        simulation.substeps,
        simulation.rk4,
        simulation.integration_size,
        states,
        actions,
        *control_range(simulation.model),
        jacobian,
        gradient,
    )
    return jacobian, gradient


def reward_hessians(simulation: Simulation, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Hessians [N, d, d], d = n + A, of the reward as function of the state reached and the action.

    No physics is integrated: readings of acceleration sensors stay those of `states` [N, S].
    """
    d = tangent_size(simulation) + simulation.action_size
    hessians = np.empty((len(states), d, d))
    simulation.spread(
        len(states),
        reward_kernel,
        simulation.functions[1],
        simulation.integration_size,
        states,
        actions,
        hessians,
    )
    return hessians


def displace(simulation: Simulation, states: np.ndarray, tangents: np.ndarray) -> np.ndarray:
    """States [N, M, S] beside states [N, S], by tangents [M, n]."""
    out = np.empty((len(states), len(tangents), states.shape[-1]))
    tangents = np.pad(tangents, ((0, 0), (0, simulation.action_size)))
    displace_kernel(simulation.tables[0], simulation.integration_size, states, tangents, out)
    return out


@njit(nogil=True, cache=True)
def _displace(table, displacement):
    """Move the state and the controls of a table."""
    p = physics(table)
    nv, na = p.qvel.size, p.act.size
    mj_integratePos(table[0], p.qpos.ctypes.data, displacement.ctypes.data, 1.0)
    for i in range(nv):
        p.qvel[i] += displacement[nv + i]
    for i in range(na):
        p.act[i] += displacement[2 * nv + i]
    for i in range(p.ctrl.size):
        p.ctrl[i] += displacement[2 * nv + na + i]


@njit(nogil=True, cache=True)
def _difference(table, row, out):
    """Write into `out` [n] how the state of a table differs from a state row."""
    p = physics(table)
    nv, na = p.qvel.size, p.act.size
    qvel = _QPOS + p.qpos.size
    mj_differentiatePos(table[0], out.ctypes.data, 1.0, row[_QPOS:].ctypes.data, p.qpos.ctypes.data)
    for i in range(nv):
        out[nv + i] = p.qvel[i] - row[qvel + i]
    for i in range(na):
        out[2 * nv + i] = p.act[i] - row[qvel + nv + i]


@njit(nogil=True, cache=True)
def feedback_kernel(
    table,
    functions,
    substeps,
    rk4,
    n_integration,
    roots,
    root_of,
    low,
    high,
    gains,
    reference,
    rewards,
    continuation,
    actions,
    states,
    turn,
):
    """See `feedback_rollout`; `actions` [N, H, A] hold the plans at first."""
    _, reward, terminate = functions
    horizon, size = actions.shape[1:]
    tangent = np.empty(gains.shape[3])
    while True:
        n = add(turn.ctypes.data, 1)
        if n >= actions.shape[0]:
            break
        b = root_of[n]
        write_state(table, n_integration, roots[b])
        states[n, 0] = roots[b]
        before = warnings(table)
        in_step = False
        ctrl = physics(table).ctrl
        alive = 1.0
        for h in range(horizon):
            if alive == 0.0:
                rewards[n, h] = 0.0
                continuation[n, h] = 0.0
                states[n, h + 1] = states[n, h]
                continue
            if gains.shape[1] > 0:
                _difference(table, reference[b, h], tangent)
                for j in range(size):
                    for i in range(tangent.size):
                        actions[n, h, j] += gains[b, h, j, i] * tangent[i]
            for j in range(size):
                actions[n, h, j] = min(max(actions[n, h, j], low[j]), high[j])
                ctrl[j] = actions[n, h, j]
            advance(table, substeps, rk4, in_step)
            in_step = True
            read_state(table, n_integration, states[n, h + 1])
            if warnings(table) != before:
                rewards[n, h:] = np.nan
                continuation[n, h:] = 0.0
                states[n, h + 1 :] = states[n, h]
                break
            rewards[n, h] = call_scalar(reward, table.ctypes.data)
            if terminate != 0 and call_scalar(terminate, table.ctypes.data) > 0.0:
                alive = 0.0
            continuation[n, h] = alive


@njit(nogil=True, cache=True)
def step_kernel(
    table,
    functions,
    substeps,
    rk4,
    n_integration,
    states,
    actions,
    low,
    high,
    jacobian,
    gradient,
    turn,
):
    """See `step_derivatives`."""
    reward = functions[1]
    n, d = jacobian.shape[1:]
    row = np.empty(states.shape[1])
    tangent, displacement = np.empty(n), np.zeros(d)
    while True:
        at = add(turn.ctypes.data, 1)
        if at >= states.shape[0]:
            break
        before = warnings(table)
        for i in range(d):
            up, down = STEP_EPSILON, STEP_EPSILON
            if i >= n:
                up = min(up, max(high[i - n] - actions[at, i - n], 0.0))
                down = min(down, max(actions[at, i - n] - low[i - n], 0.0))
            displacement[i] = -down
            lower = _displaced_step(
                table, reward, substeps, rk4, n_integration, states[at], actions[at], displacement
            )
            read_state(table, n_integration, row)
            displacement[i] = up
            upper = _displaced_step(
                table, reward, substeps, rk4, n_integration, states[at], actions[at], displacement
            )
            displacement[i] = 0.0
            _difference(table, row, tangent)
            for j in range(n):
                jacobian[at, j, i] = tangent[j] / (up + down)
            gradient[at, i] = (upper - lower) / (up + down)
        if warnings(table) != before:
            jacobian[at] = np.nan


@njit(nogil=True, cache=True)
def _displaced_step(table, reward, substeps, rk4, n_integration, state, action, displacement):
    write_state(table, n_integration, state)
    ctrl = physics(table).ctrl
    for j in range(ctrl.size):
        ctrl[j] = action[j]
    _displace(table, displacement)
    advance(table, substeps, rk4, False)
    return call_scalar(reward, table.ctypes.data)


@njit(nogil=True, cache=True)
def reward_kernel(table, reward, n_integration, states, actions, hessians, turn):
    """See `reward_hessians`.

    With s(v) = r(v) + r(-v) - 2 r(0): the diagonal is s(e_i), the rest (s(e_i + e_j) - s(e_i) -
    s(e_j)) / 2, all over the square of the step. That is d (d + 1) + 1 rewards.
    """
    d = hessians.shape[1]
    displacement = np.zeros(d)
    second = np.empty(d)
    while True:
        at = add(turn.ctypes.data, 1)
        if at >= states.shape[0]:
            break
        state, action, hessian = states[at], actions[at], hessians[at]
        middle = _displaced_reward(table, reward, n_integration, state, action, displacement)
        for i in range(d):
            for j in range(i + 1):
                total = 0.0
                for sign in (-1.0, 1.0):
                    displacement[i] = displacement[j] = sign * REWARD_EPSILON
                    total += _displaced_reward(
                        table, reward, n_integration, state, action, displacement
                    )
                displacement[i] = displacement[j] = 0.0
                hessian[i, j] = (total - 2 * middle) / REWARD_EPSILON**2
            second[i] = hessian[i, i]
        for i in range(d):
            for j in range(i):
                hessian[i, j] = (hessian[i, j] - second[i] - second[j]) / 2
                hessian[j, i] = hessian[i, j]


@njit(nogil=True, cache=True)
def _displaced_reward(table, reward, n_integration, state, action, displacement):
    write_state(table, n_integration, state)
    p = physics(table)
    for j in range(p.ctrl.size):
        p.ctrl[j] = action[j]
    for i in range(p.sensordata.size):
        p.sensordata[i] = state[n_integration + i]
    _displace(table, displacement)
    mj_step1(table[0], table[1])  # makes all sensors anew but those of accelerations
    return call_scalar(reward, table.ctypes.data)


@njit(nogil=True, cache=True)
def displace_kernel(table, n_integration, states, displacements, out):
    """See `displace`. Acceleration sensors stay those of `states`."""
    for b in range(states.shape[0]):
        for m in range(displacements.shape[0]):
            write_state(table, n_integration, states[b])
            p = physics(table)
            for i in range(p.sensordata.size):
                p.sensordata[i] = states[b, n_integration + i]
            _displace(table, displacements[m])
            mj_step1(table[0], table[1])
            read_state(table, n_integration, out[b, m])
