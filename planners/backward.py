"""The backward pass of iLQG, with bounds on the actions.

Source: Tassa, Mansard and Todorov 2014, "Control-limited differential dynamic programming"; the
regularisation and the update of the value are those of Tassa, Erez and Todorov 2012, section II-F.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def backward(fx, fu, gradient, hessian, vx, vxx, lower, upper, length, mu, k, gains):
    """Riccati recursion with bounded steps; writes k [H, A] and gains [H, A, n].

    Arguments:
      fx, fu: [H, n, n] and [H, n, A]. gradient, hessian: of the cost, [H, d] and [H, d, d].
      vx, vxx: Of the cost after the last step, [n] and [n, n].
      lower, upper: [H, A], bounds of the steps. length: Steps that count; the rest get 0.

    Returns:
      Whether every step had a positive definite problem, and the decrease of the cost to expect.
    """
    n, size = fu.shape[1], fu.shape[2]
    k[:] = 0
    gains[:] = 0
    expected = 0.0
    start = np.zeros(size)
    for h in range(length - 1, -1, -1):
        a, b = np.ascontiguousarray(fx[h]), np.ascontiguousarray(fu[h])
        at, bt = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
        qx = gradient[h, :n] + at @ vx
        qu = gradient[h, n:] + bt @ vx
        va, vb = vxx @ a, vxx @ b
        qxx = hessian[h, :n, :n] + at @ va
        qux = hessian[h, n:, :n] + bt @ va
        quu = hessian[h, n:, n:] + bt @ vb
        regular_uu, regular_ux = quu + mu * (bt @ b), qux + mu * (bt @ a)
        ok, step, free, factor = box_qp(regular_uu, qu, lower[h], upper[h], start)
        if not ok:
            return False, 0.0
        gain = np.zeros((size, n))
        index = np.flatnonzero(free)
        if index.size > 0:
            right = np.empty((index.size, n))
            for i in range(index.size):
                right[i] = -regular_ux[index[i]]
            solve_factored(factor, right)
            for i in range(index.size):
                gain[index[i]] = right[i]
        k[h], gains[h], start = step, gain, step
        gain_t, qux_t = np.ascontiguousarray(gain.T), np.ascontiguousarray(qux.T)
        quu_step, quu_gain = quu @ step, quu @ gain
        expected -= step @ qu + 0.5 * (step @ quu_step)
        vx = qx + gain_t @ (quu_step + qu) + qux_t @ step
        vxx = qxx + gain_t @ quu_gain + gain_t @ qux + qux_t @ gain
        vxx = np.ascontiguousarray(0.5 * (vxx + vxx.T))
    return True, expected


@njit(cache=True, nogil=True)
def box_qp(hessian, gradient, lower, upper, start):
    """Minimise x'Hx/2 + g'x with lower <= x <= upper by projected Newton steps.

    Source: Tassa et al. 2014, "Control-limited differential dynamic programming", section III-A.

    Returns:
      Success (False where H is not positive definite on the free dimensions), x, the mask of free
      dimensions, and the Cholesky factor of H on them.
    """
    size = gradient.size
    x = np.minimum(np.maximum(start, lower), upper)
    free = np.ones(size, np.bool_)
    factor = np.zeros((size, size))
    for iteration in range(100):
        slope = gradient + hessian @ x
        now = (x <= lower) & (slope > 0) | (x >= upper) & (slope < 0)
        changed = iteration == 0
        for i in range(size):
            if free[i] == now[i]:
                free[i] = not now[i]
                changed = True
        index = np.flatnonzero(free)
        if index.size == 0:
            return True, x, free, np.zeros((0, 0))
        if changed:
            factor = np.empty((index.size, index.size))
            for i in range(index.size):
                for j in range(index.size):
                    factor[i, j] = hessian[index[i], index[j]]
            if not cholesky(factor):
                return False, x, free, factor
        newton = np.empty((index.size, 1))
        decrement = 0.0
        for i in range(index.size):
            newton[i, 0] = -slope[index[i]]
        solve_factored(factor, newton)
        for i in range(index.size):
            decrement -= newton[i, 0] * slope[index[i]]
        if decrement <= 1e-20:
            break
        value = 0.5 * (x @ (hessian @ x)) + gradient @ x
        length = 1.0
        moved = False
        while length > 1e-12:  # Armijo, along the projection onto the box
            trial = x.copy()
            for i in range(index.size):
                j = index[i]
                trial[j] = min(max(x[j] + length * newton[i, 0], lower[j]), upper[j])
            drop = value - (0.5 * (trial @ (hessian @ trial)) + gradient @ trial)
            if drop >= 0.1 * -(slope @ (trial - x)) and drop > 0:
                x, moved = trial, True
                break
            length *= 0.6
        if not moved:
            break
    return True, x, free, factor


@njit(cache=True, nogil=True)
def cholesky(a):
    """The lower factor of a symmetric matrix, in its place; False where it is not definite."""
    largest = 0.0
    for i in range(a.shape[0]):
        largest = max(largest, abs(a[i, i]))
    for j in range(a.shape[0]):
        for i in range(j, a.shape[0]):
            for m in range(j):
                a[i, j] -= a[i, m] * a[j, m]
        # Not `<=`: a NaN must fail too.
        if not a[j, j] > 1e-13 * largest:
            return False
        root = np.sqrt(a[j, j])
        for i in range(j, a.shape[0]):
            a[i, j] /= root
    return True


@njit(cache=True, nogil=True)
def solve_factored(factor, right):
    """Solve LL'x = right [n, m] in its place."""
    size = factor.shape[0]
    for column in range(right.shape[1]):
        for i in range(size):
            for j in range(i):
                right[i, column] -= factor[i, j] * right[j, column]
            right[i, column] /= factor[i, i]
        for i in range(size - 1, -1, -1):
            for j in range(i + 1, size):
                right[i, column] -= factor[j, i] * right[j, column]
            right[i, column] /= factor[i, i]
