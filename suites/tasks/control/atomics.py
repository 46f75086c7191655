"""Atomic counters in nopython code, so that threads can share out work without the GIL.

A counter is an int64 at an address. Everything that a thread wrote before `store` or `add` is seen
by the thread whose `load` or `add` comes after it.
"""

import platform

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_INT64 = ir.IntType(64)
_INT32 = ir.IntType(32)
_X86 = platform.machine().lower() in ("x86_64", "amd64")


@intrinsic
def add(typingctx, address, value):
    """Add to a counter; what it was before."""

    def codegen(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], ir.PointerType(_INT64))
        return builder.atomic_rmw("add", pointer, args[1], "seq_cst")

    return types.int64(types.intp, types.int64), codegen


@intrinsic
def load(typingctx, address):
    """The value of a counter."""

    def codegen(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], ir.PointerType(_INT64))
        return builder.load_atomic(pointer, "seq_cst", 8, typ=_INT64)

    return types.int64(types.intp), codegen


@intrinsic
def store(typingctx, address, value):
    """Set a counter."""

    def codegen(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], ir.PointerType(_INT64))
        builder.store_atomic(args[1], pointer, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), codegen


@intrinsic
def pause(typingctx):
    """Tell the processor that this loop waits: a few cycles in which others get the room."""

    def codegen(context, builder, signature, args):
        name, hint = ("llvm.x86.sse2.pause", []) if _X86 else ("llvm.aarch64.hint", [_INT32(1)])
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in hint])
        builder.call(builder.module.declare_intrinsic(name, fnty=kind), hint)
        return context.get_dummy_value()

    return types.void(), codegen
