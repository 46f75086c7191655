"""MuJoCo's C library, called from nopython code.

A *table* is an int64 array of addresses and sizes for one `(MjModel, MjData)` pair. Kernels and
compiled rewards receive a table and open it with `physics(table)`, which returns views of MuJoCo's
own memory under MuJoCo's own names: nothing is copied, and unused views cost nothing once compiled.
"""

import glob
import os
from collections import namedtuple

import llvmlite.binding
import mujoco
import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

import suites.tasks.compile_cache  # noqa: F401  (before the first compiled function)

X, Y, Z = 0, 1, 2

llvmlite.binding.load_library_permanently(
    glob.glob(os.path.join(os.path.dirname(mujoco.__file__), "libmujoco.*"))[0]
)


def _external(name: str, *arguments: types.Type) -> types.ExternalFunction:
    return types.ExternalFunction(name, types.void(*arguments))


mj_step = _external("mj_step", types.intp, types.intp)
mj_step1 = _external("mj_step1", types.intp, types.intp)
mj_step2 = _external("mj_step2", types.intp, types.intp)
mj_forward = _external("mj_forward", types.intp, types.intp)
mj_setState = _external("mj_setState", types.intp, types.intp, types.intp, types.uintc)
mj_getState = _external("mj_getState", types.intp, types.intp, types.intp, types.uintc)
mj_integratePos = _external("mj_integratePos", types.intp, types.intp, types.intp, types.double)
mj_differentiatePos = _external(
    "mj_differentiatePos", types.intp, types.intp, types.double, types.intp, types.intp
)

STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)

# Views of memory, in the order of the table: (name, owner, the model's name for its length).
_VIEWS = (
    ("qpos", "data", "nq"),
    ("qvel", "data", "nv"),
    ("act", "data", "na"),
    ("ctrl", "data", "nu"),
    ("xpos", "data", "nbody"),
    ("xquat", "data", "nbody"),
    ("xmat", "data", "nbody"),
    ("xipos", "data", "nbody"),
    ("subtree_com", "data", "nbody"),
    ("geom_xpos", "data", "ngeom"),
    ("geom_xmat", "data", "ngeom"),
    ("site_xpos", "data", "nsite"),
    ("site_xmat", "data", "nsite"),
    ("sensordata", "data", "nsensordata"),
    ("actuator_force", "data", "nu"),
    ("geom_pos", "model", "ngeom"),
    ("geom_size", "model", "ngeom"),
    ("site_pos", "model", "nsite"),
    ("site_size", "model", "nsite"),
    ("body_mass", "model", "nbody"),
)
_HEADER = 4  # model, data, warning counters, their number
_FIELDS = _HEADER + 2 * len(_VIEWS)
N_WARNINGS = int(mujoco.mjtWarning.mjNWARNING)

Physics = namedtuple("Physics", [view[0] for view in _VIEWS])  # noqa: PYI024


def make_table(
    model: mujoco.MjModel, data: mujoco.MjData, model_fields: tuple[str, ...] = ()
) -> np.ndarray:
    """Addresses of `model` and `data`, both of which must outlive the table.

    `model_fields` names float64 arrays of the model that belong to the state (see `Twin`).
    """
    rows = [model._address, data._address, data.warning.number.ctypes.data, N_WARNINGS]
    for name, owner, size in _VIEWS:
        array = getattr(model if owner == "model" else data, name)
        rows += [array.ctypes.data, getattr(model, size)]
    for name in model_fields:
        array = getattr(model, name)
        if array.dtype != np.float64:
            raise TypeError(f"model field '{name}' is {array.dtype}; the state holds float64 only")
        rows += [array.ctypes.data, array.size]
    return np.array(rows, np.int64)


@intrinsic
def as_float64(typingctx, address):
    """An address as a pointer to float64."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.PointerType(ir.DoubleType()))

    return types.CPointer(types.float64)(types.intp), codegen


@intrinsic
def as_int32(typingctx, address):
    """An address as a pointer to int32."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.PointerType(ir.IntType(32)))

    return types.CPointer(types.int32)(types.intp), codegen


@intrinsic
def as_bool(typingctx, address):
    """An address as a pointer to NumPy's booleans."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.PointerType(ir.IntType(8)))

    return types.CPointer(types.boolean)(types.intp), codegen


@intrinsic
def as_table(typingctx, address):
    """An address as a pointer to int64: how a compiled reward receives its table."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.PointerType(ir.IntType(64)))

    return types.CPointer(types.int64)(types.intp), codegen


@intrinsic
def call_scalar(typingctx, function, table):
    """Call the compiled `float64(table)` at an address."""

    def codegen(context, builder, signature, args):
        pointer = ir.PointerType(ir.IntType(64))
        kind = ir.FunctionType(ir.DoubleType(), [pointer])
        callee = builder.inttoptr(args[0], ir.PointerType(kind))
        return builder.call(callee, [builder.inttoptr(args[1], pointer)])

    return types.float64(types.intp, types.intp), codegen


@intrinsic
def call_observe(typingctx, function, table, out):
    """Call the compiled `void(table, float64*)` at an address."""

    def codegen(context, builder, signature, args):
        pointer = ir.PointerType(ir.IntType(64))
        double = ir.PointerType(ir.DoubleType())
        kind = ir.FunctionType(ir.VoidType(), [pointer, double])
        callee = builder.inttoptr(args[0], ir.PointerType(kind))
        builder.call(
            callee, [builder.inttoptr(args[1], pointer), builder.inttoptr(args[2], double)]
        )
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


# Written out, since nopython code can't loop over views of different shapes; the order is _VIEWS'.
@njit(cache=True)
def physics(table):
    """Views of the `MjModel` and `MjData` behind a table, under MuJoCo's names.

    Rotation matrices come as [n, 3, 3]: the named index `xmat['torso', 'zz']` of dm_control is
    `xmat[torso, Z, Z]`.
    """
    a = _HEADER
    return Physics(
        carray(as_float64(table[a]), (table[a + 1],)),
        carray(as_float64(table[a + 2]), (table[a + 3],)),
        carray(as_float64(table[a + 4]), (table[a + 5],)),
        carray(as_float64(table[a + 6]), (table[a + 7],)),
        carray(as_float64(table[a + 8]), (table[a + 9], 3)),
        carray(as_float64(table[a + 10]), (table[a + 11], 4)),
        carray(as_float64(table[a + 12]), (table[a + 13], 3, 3)),
        carray(as_float64(table[a + 14]), (table[a + 15], 3)),
        carray(as_float64(table[a + 16]), (table[a + 17], 3)),
        carray(as_float64(table[a + 18]), (table[a + 19], 3)),
        carray(as_float64(table[a + 20]), (table[a + 21], 3, 3)),
        carray(as_float64(table[a + 22]), (table[a + 23], 3)),
        carray(as_float64(table[a + 24]), (table[a + 25], 3, 3)),
        carray(as_float64(table[a + 26]), (table[a + 27],)),
        carray(as_float64(table[a + 28]), (table[a + 29],)),
        carray(as_float64(table[a + 30]), (table[a + 31], 3)),
        carray(as_float64(table[a + 32]), (table[a + 33], 3)),
        carray(as_float64(table[a + 34]), (table[a + 35], 3)),
        carray(as_float64(table[a + 36]), (table[a + 37], 3)),
        carray(as_float64(table[a + 38]), (table[a + 39],)),
    )


MODEL_FIELDS = _FIELDS  # where the model fields begin in a table


@intrinsic
def call_observed(typingctx, function, observation, control):
    """Call the compiled `float64(float64*, float64*)` at an address."""

    def codegen(context, builder, signature, args):
        double = ir.DoubleType()
        pointer = ir.PointerType(double)
        callee = builder.inttoptr(args[0], ir.PointerType(ir.FunctionType(double, [pointer] * 2)))
        return builder.call(callee, [builder.inttoptr(a, pointer) for a in args[1:]])

    return types.float64(types.intp, types.intp, types.intp), codegen


_SCALAR = types.float64(types.CPointer(types.int64))
_OBSERVE = types.void(types.CPointer(types.int64), types.CPointer(types.float64))


def scalar(function) -> CFunc:
    """Compile `function(table) -> float`: a reward, or a termination (above 0: the episode ends).

    The function may close over int and float values only: they become constants of the machine
    code, and are part of the key under which it is cached on disk.
    """
    return cfunc(_SCALAR, cache=True)(function)


def observation(function) -> CFunc:
    """Compile `function(table, out)`, which writes the observation to `out[0], out[1], ...`."""
    return cfunc(_OBSERVE, cache=True)(function)
