"""The compiler: Numba as the kernel needs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numba
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate

from rollout_sim.planes.compiled.cache import KERNELS, cache_folder

_njit: Any = numba.njit
_config: Any = numba.config
_folders: dict[Any, Path] = {}
_extending: Any = extending
_cgutils: Any = cgutils
_ERRORS = "numpy"
"""A division by zero gives infinity. Where it is an error instead, no loop with a division in it is vectorized."""


def inlined(function: Any) -> Any:
    """Compiled into its callers: arrays that are handed over one by one cost more than what is done with them.

    LLVM does the inlining (`forceinline`); Numba's own (`inline="always"`) types each copy again, for the same machine code
    in three times the time. Without reference counts, for the same reason: the arrays outlive every call. And without a way in
    from Python, which takes as long to compile as the function itself: what Python calls is `kept` besides.
    """
    return _njit(
        function, forceinline=True, error_model=_ERRORS, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )


def _trailing_zeros(_: Any, word: Any) -> Any:
    """How many bits of an unsigned `word`, which is not 0, are 0 below its lowest 1."""

    def code(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(word), code


trailing_zeros: Any = _extending.intrinsic(_trailing_zeros)


class Reference(types.Type):
    """Where a named tuple lies; its fields are read as those of the tuple.

    A tuple itself is handed over part by part: of forty arrays these are three hundred arguments, which for a chain of calls
    takes longer to compile than what is done with them, and its type, spelt out, is part of the name of every function.
    """

    def __init__(self, whole: Any) -> None:
        self.whole = whole
        super().__init__("Reference")

    @property
    def key(self) -> Any:
        """What tells it from other types: its name is short."""
        return self.whole


@_extending.register_model(Reference)
class _Pointer(extending.models.PrimitiveModel):
    def __init__(self, manager: Any, reference: Any) -> None:
        pointer = manager.lookup(reference.whole).get_value_type().as_pointer()
        super().__init__(manager, reference, pointer)  # type: ignore[no-untyped-call]


@_extending.infer_getattr
class _Fields(AttributeTemplate):
    key = Reference

    def generic_resolve(self, reference: Any, name: str) -> Any:  # type: ignore[override]
        return dict(zip(reference.whole.fields, reference.whole.types, strict=True)).get(name)


def _field(_: Any, builder: Any, reference: Any, place: Any, name: str) -> Any:
    number = ir.Constant(ir.IntType(32), reference.whole.fields.index(name))
    return builder.load(builder.gep(place, [ir.Constant(ir.IntType(32), 0), number], inbounds=True))


_extending.lower_getattr_generic(Reference)(_field)


def _by_reference(_: Any, whole: Any) -> Any:
    """A named tuple, put down where the functions that are called find it."""

    def code(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _cgutils.alloca_once_value(builder, arguments[0])

    return Reference(whole)(whole), code


by_reference: Any = _extending.intrinsic(_by_reference)


def with_names(function: Any, **names: Any) -> Any:
    """A plain function compiled as it stands into its callers, with compiled ones in place of what it calls.

    The rules of the model are plain Python, so that a plane without Numba runs them too, and a compiled function may call
    only compiled ones: so the same code is taken with other globals. Numba's own way, `register_jitable(inline="always")`,
    is no substitute (tried with 0.68): it inlines after types are inferred, warns that variables which `resolve_invocation`
    assigns twice are "not in scope", and gives a kernel that computes something else: no invocation ends in it.
    """
    copy = FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
    return inlined(copy)


def kept(function: Callable[..., Any], *sources: ModuleType) -> Any:
    """Compiled when it is first called, and kept for other processes until it or one of the `sources` changes.

    A function that is `inlined` elsewhere is compiled once more, with a way in from Python.
    """
    function = getattr(function, "py_func", function)
    folder = cache_folder(sources)
    before = _config.CACHE_DIR
    try:
        if folder is not None:
            _config.CACHE_DIR = str(folder)
        compiled = _njit(
            function, cache=folder is not None, nogil=True, error_model=_ERRORS, _nrt=False, no_cfunc_wrapper=True
        )
        if folder is not None:
            _folders[compiled] = folder
        return compiled
    finally:
        _config.CACHE_DIR = before


def compiled_before(function: Any) -> bool:
    """Whether a function that is `kept`, and others of the same sources, are there already: nobody has to wait for the compiler."""
    return function in _folders and any(_folders[function].rglob(KERNELS))
