"""A cart balances poles, or swings them up. Twin of `dm_control.suite.cartpole`."""

import mujoco
from numba import njit

from suites.tasks.control.observed import ObservedReward, view
from suites.tasks.control.parts import small_control, write
from suites.tasks.control.physics import X, Z, observation, physics, scalar
from suites.tasks.control.rewards import INF, gaussian, inside
from suites.tasks.control.twin import Twin, body

CART_BOUND = 0.25  # m from the middle, for the sparse reward
COSINE_BOUND = 0.995  # of each pole's angle, for the sparse reward


@njit(cache=True)
def _upright(p, first):
    """Mean height of the poles, from 0 to 1."""
    total = 0.0
    for pole in range(first, p.xmat.shape[0]):
        total += (p.xmat[pole, Z, Z] + 1) / 2
    return total / (p.xmat.shape[0] - first)


@njit(cache=True)
def _swingup(at, upright, ctrl, qvel):
    """The reward of the cart at a place."""
    centered = (1 + gaussian(at, 0.0, 0.0, 2.0)) / 2
    slow = (1 + _slow(qvel)) / 2
    return upright * small_control(ctrl) * slow * centered


@njit(cache=True)
def _slow(qvel):
    """How slowly the fastest pole turns, from 0 to 1; NaN where one is."""
    least = 1.0
    for i in range(1, qvel.size):
        slow = gaussian(qvel[i], 0.0, 0.0, 5.0)
        if not slow >= least:
            least = slow
    return least


def _observe(model: mujoco.MjModel):
    first = body(model, "pole_1")

    @observation
    def observe(table, out):
        """The cart's position, cosine and sine of each pole's angle, velocities."""
        p = physics(table)
        out[0] = p.qpos[0]
        at = 1
        for pole in range(first, p.xmat.shape[0]):
            out[at], out[at + 1] = p.xmat[pole, Z, Z], p.xmat[pole, X, Z]
            at += 2
        write(out, at, p.qvel)

    return observe


def swingup(model: mujoco.MjModel) -> Twin:
    first = body(model, "pole_1")
    poles = model.nbody - first

    @scalar
    def reward(table):
        p = physics(table)
        return _swingup(p.qpos[0], _upright(p, first), p.ctrl, p.qvel)

    @ObservedReward
    def observed_reward(seen, control):
        total = 0.0
        for pole in range(poles):
            total += (seen[1 + 2 * pole] + 1) / 2
        qvel = view(seen, 1 + 2 * poles, 1 + poles)
        return _swingup(seen[0], total / poles, view(control, 0, 1), qvel)

    return Twin(_observe(model), reward, observed_reward=observed_reward)


def swingup_sparse(model: mujoco.MjModel) -> Twin:
    first = body(model, "pole_1")
    poles = model.nbody - first

    @scalar
    def reward(table):
        p = physics(table)
        value = inside(p.qpos[0], -CART_BOUND, CART_BOUND)
        for pole in range(first, p.xmat.shape[0]):
            value *= inside(p.xmat[pole, Z, Z], COSINE_BOUND, 1.0)
        return value

    @ObservedReward
    def observed_reward(seen, control):
        value = inside(seen[0], -CART_BOUND, CART_BOUND)
        for pole in range(poles):
            value *= inside(seen[1 + 2 * pole], COSINE_BOUND, INF)
        return value

    return Twin(_observe(model), reward, observed_reward=observed_reward)


# Balancing begins upright, swinging up begins hanging; the number of poles is in the model.
balance = two_poles = three_poles = swingup
balance_sparse = swingup_sparse
