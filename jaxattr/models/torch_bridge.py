"""Running a module of torch on JAX's arrays through torchax, and nothing left behind.

torchax answers torch's operators with JAX's while its modes are on. They are on here only
while a program is traced. What importing it changes in torch and JAX is put back, but for
the name ``"jax"`` of torch's spare device, which cannot be given twice.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import threading
import traceback
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import jax

from jaxattr.models.torch_corners import replace_activations
from jaxattr.models.torch_operators import replace_operators
from jaxattr.typing import Array

if TYPE_CHECKING:
    import torch
    from torch._ops import OpOverloadPacket
    from torchax.tensor import Environment, Tensor

LOCK = threading.RLock()
"""Held while a module's tensors are replaced by traced ones."""
OTHERS = {"torch", "torchax", "jax", "jaxlib", "jaxattr"}
"""Packages whose lines of a traceback are not the module's own."""


def import_torch() -> types.ModuleType:
    """The package ``torch``.

    Raises:
      ImportError: without torch or torchax, with the extra that installs them.
    """
    try:
        import torch

        environment()
    except ImportError as error:
        raise ImportError(
            'modules of torch need torch and torchax: pip install "jaxattr[torch]" '
            f"({error})"
        ) from None
    return torch


@functools.cache
def environment() -> Environment:
    """An environment of torchax of our own, not the one that it enables globally."""
    import torch

    with _settings_kept(torch), _dropped_overloads(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchax import tensor

        with jax.ensure_compile_time_eval():
            own = tensor.Environment()
    replace_operators(own)
    replace_activations(own)
    return own


def run(module: torch.nn.Module, tensors: Mapping[str, Array], images: Array) -> object:
    """What a module gives for images ``(N, C, H, W)`` with other tensors in it.

    Args:
      module: in evaluation mode; as it was, when this returns.
      tensors: parameters and buffers by name, arrays.
      images: a JAX array, traced or not.

    Returns:
      What the module returns, JAX's arrays in the place of torch's.

    Raises:
      ValueError: in place of what torchax and JAX raise; see ``explained``.
    """
    import torch

    env = environment()
    with LOCK, contextlib.ExitStack() as stack:
        stack.enter_context(explained(module))
        # torch promotes types and ranks, and asks for 64 bits where JAX has 32.
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.numpy_rank_promotion("allow"))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(_fast_attention_off(torch))
        stack.enter_context(env.override_property())
        env.param.get_and_rotate_prng_key = _refuse_draws
        given = {name: env.j2t_iso(array) for name, array in tensors.items()}
        watched = _Watched(torch, module, given)
        stack.enter_context(torch.no_grad())
        with env:
            result = torch.func.functional_call(
                watched.outer, watched.tensors, (env.j2t_iso(images),)
            )
        watched.refuse_changes(tensors)
        return env.t2j_iso(result)


class _Watched:
    """A module around a module that looks at the inner one's tensors after the call."""

    def __init__(
        self,
        torch: types.ModuleType,
        module: torch.nn.Module,
        given: Mapping[str, Tensor],
    ) -> None:
        self.given = given
        self.tensors = {f"inner.{name}": tensor for name, tensor in given.items()}
        self.replaced: list[str] = []
        watched = self

        class Outer(torch.nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.inner = module

            def forward(self, images: object) -> object:
                result = self.inner(images)
                now = {
                    **dict(module.named_parameters()),
                    **dict(module.named_buffers()),
                }
                watched.replaced += [
                    name
                    for name, tensor in given.items()
                    if now.get(name) is not tensor
                ]
                return result

        self.outer = Outer().eval()

    def refuse_changes(self, tensors: Mapping[str, Array]) -> None:
        """A tensor that is another one now, or holds another array."""
        changed = self.replaced + [
            name
            for name, tensor in self.given.items()
            if tensor.jax() is not tensors[name]
        ]
        if changed:
            raise ValueError(
                f"module: expected one that is the same after a call, got one that "
                f"changes {some(changed)}; a model is a function of its images"
            )


@contextlib.contextmanager
def explained(module: object) -> Iterator[None]:
    """What goes wrong inside as one ``ValueError``, with the line of the module's code."""
    from torchax.tensor import OperatorNotFound

    traced = (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerArrayConversionError,
        jax.errors.TracerIntegerConversionError,
        jax.errors.NonConcreteBooleanIndexError,
    )
    kind = type(module).__name__
    try:
        yield
    except OperatorNotFound as error:
        raise ValueError(
            f"module: {kind} needs an operator that torchax does not have: {error}"
            f"{_place(error)}; compose it of others"
        ) from error
    except traced as error:
        raise ValueError(
            f"module: {kind} decides by the values of its images or weights what to "
            f"compute{_place(error)}; a compiled model cannot: write it with torch.where"
        ) from error
    except ValueError as error:
        if str(error).startswith(("module:", "images:")):
            raise
        raise _other(kind, error) from error
    except Exception as error:
        raise _other(kind, error) from error


def _other(kind: str, error: Exception) -> ValueError:
    text = " ".join(str(error).split())
    mixed = "; tensors must be parameters or buffers" if "mixed math" in text else ""
    return ValueError(
        f"module: {kind} cannot be run through torchax{_place(error)}: "
        f"{type(error).__name__}: {text:.300}{mixed}"
    )


def _place(error: BaseException) -> str:
    """The last line of code that is neither torch's nor JAX's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not OTHERS & set(pathlib.Path(frame.filename).parts):
            return f", at {frame.filename}:{frame.lineno} in {frame.name}"
    return ""


def some(names: list[str]) -> str:
    """The first three names, and how many more there are."""
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _refuse_draws(*_: object) -> None:
    raise ValueError(
        "module: expected one without randomness in evaluation mode, got one that draws "
        "random numbers"
    )


@contextlib.contextmanager
def _fast_attention_off(torch: types.ModuleType) -> Iterator[None]:
    """Without torch's fused attention, whose operators torchax does not have."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def _settings_kept(torch: types.ModuleType) -> Iterator[None]:
    """Settings that importing torchax changes, as they were."""
    option, variable = (
        "jax_pjrt_client_create_options",
        "ENABLE_RUNTIME_UPTIME_TELEMETRY",
    )
    fast, known = torch.backends.mha.get_fastpath_enabled(), variable in os.environ
    client = getattr(jax.config, option, None)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        if getattr(jax.config, option, None) != client:
            jax.config.update(option, client)
        if not known:
            os.environ.pop(variable, None)


@contextlib.contextmanager
def _dropped_overloads() -> Iterator[None]:
    """Names that torchax 0.0.13 looks up and torch 2.13 dropped, for named dimensions.

    It keeps them as keys of tables; nothing that torch has is looked up there.
    """
    from torch._ops import OpOverloadPacket

    original = OpOverloadPacket.__getattr__

    def lenient(self: OpOverloadPacket, key: str) -> object:
        try:
            return original(self, key)
        except AttributeError:
            if "dimname" not in key.lower() and "names" not in key:
                raise
            return object()

    OpOverloadPacket.__getattr__ = lenient  # type: ignore[method-assign]
    try:
        yield
    finally:
        OpOverloadPacket.__getattr__ = original  # type: ignore[method-assign]
