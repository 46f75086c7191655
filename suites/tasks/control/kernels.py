"""The hot loops: step environments, roll out candidate plans, evaluate states. All release the GIL.

A state is a row of float64: MuJoCo's integration state, the sensor readings (those of the
acceleration stage can't be recomputed without a step), and the model fields that resets write.

Stepping follows `dm_control.mujoco.Physics.step`, so that positions, velocities and sensors are in
step with the state when the reward is read: `mj_step2`, n - 1 times `mj_step`, `mj_step1`; with RK4
n times `mj_step`, then `mj_step1`.
"""

import numpy as np
from numba import carray, njit, types

from suites.tasks.control.atomics import add, load, pause, store
from suites.tasks.control.physics import (
    MODEL_FIELDS,
    STATE,
    as_bool,
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

# The board on which threads agree about a step: addresses, then counters a cache line apart. Each
# thread has a range of environments, whose memory stays in its core's cache; then it helps others.
ADDRESSES, DONE, FIRST_TURN, LINE = 0, 8, 16, 8
PATIENCE = 4000  # looks at the board, some 0.2 ms, before a helper without work goes away

sched_yield = types.ExternalFunction("sched_yield", types.int32())


@njit(nogil=True, cache=True)
def warnings(table):
    """Number of MuJoCo's warnings so far: after a divergence it has grown."""
    counters = carray(as_int32(table[2]), (table[3],))
    total = 0
    for i in range(counters.size):
        total += counters[i]
    return total


@njit(nogil=True, cache=True)
def read_state(table, n_integration, row):
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
def write_state(table, n_integration, row):
    """Set state and model fields; what follows from them is stale until a step or `settle`."""
    mj_setState(table[0], table[1], row.ctypes.data, STATE)
    at = n_integration + physics(table).sensordata.size
    for field in range(MODEL_FIELDS, table.size, 2):
        values = carray(as_float64(table[field]), (table[field + 1],))
        for i in range(values.size):
            values[i] = row[at + i]
        at += values.size


@njit(nogil=True, cache=True)
def settle(table, n_integration, row):
    """After `write_state`: bring positions, velocities and sensors in step with the state."""
    mj_step1(table[0], table[1])
    sensors = physics(table).sensordata
    for i in range(sensors.size):
        sensors[i] = row[n_integration + i]


@njit(nogil=True, cache=True)
def read_states(tables, n_integration, rows):
    """Write the state of `tables[b]` into `rows[b]`."""
    for b in range(tables.shape[0]):
        read_state(tables[b], n_integration, rows[b])


@njit(nogil=True, cache=True)
def write_states(tables, n_integration, rows):
    """Set the state of `tables[b]` to `rows[b]`, ready to observe and to step."""
    for b in range(tables.shape[0]):
        write_state(tables[b], n_integration, rows[b])
        settle(tables[b], n_integration, rows[b])


@njit(nogil=True, cache=True)
def observe_states(table, observe, n_integration, rows, out, turn):
    """Observations `out[n]` of the states `rows[n]`; threads take turns by the counter `turn`."""
    while True:
        n = add(turn.ctypes.data, 1)
        if n >= rows.shape[0]:
            break
        write_state(table, n_integration, rows[n])
        settle(table, n_integration, rows[n])
        call_observe(observe, table.ctypes.data, out[n].ctypes.data)


@njit(nogil=True, cache=True)
def observe_present(tables, observe, out):
    """Observations `out[b]` of the environments behind `tables[b]` as they stand."""
    for b in range(tables.shape[0]):
        call_observe(observe, tables[b].ctypes.data, out[b].ctypes.data)


def make_board(n: int, threads: int) -> np.ndarray:
    """The board of `threads` threads over n environments, with nothing to do."""
    board = np.zeros(FIRST_TURN + LINE * threads, np.int64)
    board[FIRST_TURN::LINE] = n
    return board


@njit(nogil=True, cache=True)
def step_environments(
    board, tables, functions, substeps, rk4, actions, observations, rewards, terminated
):
    """One control step of all environments, together with the helpers that are there.

    Arguments:
      actions: [B, A]. observations [B, O], rewards [B], terminated [B]: written. A diverged
        environment gets a NaN reward.
    """
    n = tables.shape[0]
    board[ADDRESSES] = actions.ctypes.data
    board[ADDRESSES + 1] = observations.ctypes.data
    board[ADDRESSES + 2] = rewards.ctypes.data
    board[ADDRESSES + 3] = terminated.ctypes.data
    store(_counter(board, DONE), 0)
    threads = _threads(board)
    for thread in range(threads):
        store(_counter(board, FIRST_TURN + LINE * thread), n * thread // threads)
    sizes = actions.shape[1], observations.shape[1]
    _step_in_turn(0, board, tables, functions, substeps, rk4, sizes)
    looks = 0
    while load(_counter(board, DONE)) < n:
        looks += 1
        if looks < PATIENCE:
            pause()
        else:  # more threads than free cores: the last one needs ours
            sched_yield()


@njit(nogil=True, cache=True)
def help_stepping(thread, present, board, tables, functions, substeps, rk4, sizes):
    """Share the work of `step_environments` until none has come for a while.

    To be woken for each step would cost a thread about as much as the step. `present[0]` becomes 0.
    """
    idle = 0
    while idle < PATIENCE:
        if _step_in_turn(thread, board, tables, functions, substeps, rk4, sizes) > 0:
            idle = 0
        else:
            idle += 1
            pause()
    store(present.ctypes.data, 0)


@njit(nogil=True, cache=True)
def _counter(board, i):
    return board.ctypes.data + 8 * i


@njit(nogil=True, cache=True)
def _threads(board):
    return (board.size - FIRST_TURN) // LINE


@njit(nogil=True, cache=True)
def _step_in_turn(thread, board, tables, functions, substeps, rk4, sizes):
    """Step environments as long as there are some that nobody has taken; how many it were."""
    n, threads, taken = tables.shape[0], _threads(board), 0
    for k in range(threads):
        range_ = (thread + k) % threads
        turn = _counter(board, FIRST_TURN + LINE * range_)
        stop = n * (range_ + 1) // threads
        while load(turn) < stop:
            b = add(turn, 1)
            if b >= stop:
                break
            _step_environment(b, board, tables[b], functions, substeps, rk4, (n, *sizes))
            add(_counter(board, DONE), 1)
            taken += 1
    return taken


@njit(nogil=True, cache=True)
def _step_environment(b, board, table, functions, substeps, rk4, sizes):
    observe, reward, terminate = functions
    n, n_actions, n_observations = sizes
    actions = carray(as_float64(board[ADDRESSES]), (n, n_actions))
    observation = board[ADDRESSES + 1] + 8 * n_observations * b
    rewards = carray(as_float64(board[ADDRESSES + 2]), (n,))
    terminated = carray(as_bool(board[ADDRESSES + 3]), (n,))
    before = warnings(table)
    ctrl = physics(table).ctrl
    for j in range(ctrl.size):
        ctrl[j] = actions[b, j]
    advance(table, substeps, rk4, True)
    rewards[b] = call_scalar(reward, table.ctypes.data)
    call_observe(observe, table.ctypes.data, observation)
    terminated[b] = terminate != 0 and call_scalar(terminate, table.ctypes.data) > 0.0
    if warnings(table) != before:
        rewards[b] = np.nan


@njit(nogil=True, cache=True)
def end_step(steps, horizon, rewards, terminated, truncated):
    """Count a control step, truncate at the horizon.

    Returns:
      How many episodes ended, or -1 where a reward is not finite.
    """
    ended, finite = 0, True
    for b in range(steps.size):
        steps[b] += 1
        finite &= np.isfinite(rewards[b])
        truncated[b] = steps[b] >= horizon
        # As in dm_control, where the time limit comes before the task's own termination.
        terminated[b] &= not truncated[b]
        ended += terminated[b] or truncated[b]
    return ended if finite else -1


@njit(nogil=True, cache=True)
def advance(table, substeps, rk4, in_step):
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
    turn,
):
    """Score plans, each from its own root; threads take turns by the counter `turn`.

    Arguments:
      roots: [B, S] states. root_of: [N] the root of each plan. plans: [N, H, A].
      rewards, continuation: [N, H], written. After a termination rewards and continuation are 0.
        A plan on which the physics diverges has NaN rewards from there on.
      last: [N, S], written: the state in which the plan ends.
    """
    _, reward, terminate = functions
    horizon = plans.shape[1]
    while True:
        n = add(turn.ctypes.data, 1)
        if n >= plans.shape[0]:
            break
        write_state(table, n_integration, roots[root_of[n]])
        before = warnings(table)
        in_step = False  # the first mj_step does what a settle would
        ctrl = physics(table).ctrl
        alive = 1.0
        for h in range(horizon):
            if alive == 0.0:
                rewards[n, h] = 0.0
                continuation[n, h] = 0.0
                continue
            for j in range(ctrl.size):
                ctrl[j] = plans[n, h, j]
            advance(table, substeps, rk4, in_step)
            in_step = True
            if warnings(table) != before:
                rewards[n, h:] = np.nan
                continuation[n, h:] = 0.0
                break
            rewards[n, h] = call_scalar(reward, table.ctypes.data)
            if terminate != 0 and call_scalar(terminate, table.ctypes.data) > 0.0:
                alive = 0.0
            continuation[n, h] = alive
        read_state(table, n_integration, last[n])
