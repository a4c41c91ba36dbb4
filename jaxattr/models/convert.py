"""From a checkpoint's names and layouts to a model's parameters, norms folded in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

IGNORED_SUFFIXES = (
    "num_batches_tracked",
    "relative_position_index",
    "relative_coords_table",
    "attn_mask",
)
"""Last parts of names that carry nothing for inference."""
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")

Tensors = Mapping[str, np.ndarray]
"""Arrays by their names in a checkpoint."""
Parameters = Any
"""Nested dicts of arrays, or of their shapes and dtypes: a pytree."""
Shapes = Iterator[tuple[str, set[tuple[int, ...]]]]
"""Names of tensors and torch's shapes of them; several where they mean the same."""
Get = Callable[[str], np.ndarray]
"""A tensor by name."""


class LayerRule(NamedTuple):
    """Where a layer, its ``kernel`` and ``bias``, comes from.

    ``ours`` is the layer's path in the parameter tree (``"blocks/0/expand"``),
    ``theirs`` the module's name in the checkpoint, ``norm`` the name of the batch norm
    that follows it.
    """

    ours: str
    theirs: str
    norm: str | None = None
    bias: bool | None = None
    """Whether ``theirs`` has a bias; by default exactly if no norm follows."""
    joint: str = "."
    """Between the module's name and ``weight``."""
    scale: str | None = None
    """The name of a tensor, a number an output, that multiplies the result."""

    def expected(self, target: Parameters) -> Shapes:
        """The tensors that it needs."""
        kernel = target["kernel"].shape
        outputs = kernel[-1]
        if len(kernel) == 4:  # (h, w, I, O), or a linear layer on a flattened image
            h, w, inputs, _ = kernel
            shapes = {(outputs, inputs, h, w), (outputs, inputs * h * w)}
        elif len(kernel) == 3:  # (h, w, C)
            shapes = {(outputs, 1, *kernel[:2])}
        else:  # (I, O), a linear layer or a 1x1 convolution
            shapes = {kernel[::-1], (*kernel[::-1], 1, 1)}
        yield f"{self.theirs}{self.joint}weight", shapes
        if self._has_bias:
            yield f"{self.theirs}{self.joint}bias", {(outputs,)}
        if self.norm is not None:
            yield from _parts(self.norm, BATCH_NORM, (outputs,))
        if self.scale is not None:
            yield self.scale, {(outputs,), (outputs, 1, 1)}

    def fill(self, target: Parameters, get: Get, epsilon: float) -> None:
        """Kernel and bias of the layer and its norm in one, folded in float64.

        γ·(w·x + b - μ)/√(σ² + ε) + β = (γ/√(σ² + ε))·w·x + (b - μ)·γ/√(σ² + ε) + β
        """
        kernel = get(f"{self.theirs}{self.joint}weight")
        bias = np.zeros(len(kernel))
        if self._has_bias:
            bias = get(f"{self.theirs}{self.joint}bias")
        if self.norm is not None:
            scale, shift = _batch_norm(self.norm, get, epsilon)
            kernel, bias = _scaled(kernel, bias, scale)
            bias = bias + shift
        if self.scale is not None:
            kernel, bias = _scaled(kernel, bias, get(self.scale).reshape(-1))
        target["kernel"] = _layout(kernel, target["kernel"].shape)
        target["bias"] = bias

    @property
    def _has_bias(self) -> bool:
        return self.norm is None if self.bias is None else self.bias


class KeylessRule(NamedTuple):
    """Where a layer of queries, keys and values comes from, whose keys have no bias.

    ``separate`` says that those of queries and values are tensors of their own,
    ``q_bias`` and ``v_bias`` beside the layer; else there is one, and a third of it is
    not used.
    """

    ours: str
    theirs: str
    separate: bool

    def expected(self, target: Parameters) -> Shapes:
        """The tensors that it needs."""
        inputs, outputs = target["kernel"].shape
        yield f"{self.theirs}.weight", {(outputs, inputs)}
        for name in self._biases:
            yield name, {(outputs // 3 if self.separate else outputs,)}

    def fill(self, target: Parameters, get: Get, epsilon: float) -> None:
        """The bias of the keys is zero."""
        kernel = get(f"{self.theirs}.weight")
        target["kernel"] = _layout(kernel, target["kernel"].shape)
        found = np.concatenate([get(name) for name in self._biases])
        size = len(kernel) // 3
        target["bias"] = np.concatenate([found[:size], 0 * found[:size], found[-size:]])

    @property
    def _biases(self) -> tuple[str, ...]:
        if not self.separate:
            return (f"{self.theirs}.bias",)
        module = self.theirs.rpartition(".")[0]
        return f"{module}.q_bias", f"{module}.v_bias"


class LayerNormRule(NamedTuple):
    """Where a layer norm, its ``scale`` and ``bias``, comes from."""

    ours: str
    theirs: str

    def expected(self, target: Parameters) -> Shapes:
        """The tensors that it needs."""
        return _parts(self.theirs, ("weight", "bias"), target["scale"].shape)

    def fill(self, target: Parameters, get: Get, epsilon: float) -> None:
        """As they are."""
        target["scale"] = get(f"{self.theirs}.weight")
        target["bias"] = get(f"{self.theirs}.bias")


class BatchNormRule(NamedTuple):
    """Where a batch norm that no layer absorbs, its ``scale`` and ``bias``, comes from."""

    ours: str
    theirs: str

    def expected(self, target: Parameters) -> Shapes:
        """The tensors that it needs."""
        return _parts(self.theirs, BATCH_NORM, target["scale"].shape)

    def fill(self, target: Parameters, get: Get, epsilon: float) -> None:
        """Statistics folded into the scale and the shift."""
        target["scale"], target["bias"] = _batch_norm(self.theirs, get, epsilon)


class ArrayRule(NamedTuple):
    """Where a single parameter, such as a position embedding, comes from: as it is."""

    ours: str
    theirs: str

    def expected(self, target: Parameters) -> Shapes:
        """The tensors that it needs."""
        yield self.theirs, {target[self._name].shape}

    def fill(self, target: Parameters, get: Get, epsilon: float) -> None:
        """As it is."""
        target[self._name] = get(self.theirs)

    @property
    def _name(self) -> str:
        return self.ours.rpartition("/")[2]


Rule = LayerRule | KeylessRule | LayerNormRule | BatchNormRule | ArrayRule


def convert(
    tensors: Tensors,
    rules: Iterable[Rule],
    skeleton: Parameters,
    *,
    epsilon: float,
    source: str,
    ignored_prefixes: tuple[str, ...] = (),
    hint: str = "",
) -> Parameters:
    """The parameters of ``skeleton``, float32, filled from ``tensors``.

    Args:
      tensors: a checkpoint, arrays by name, in torch's layouts.
      rules: one for each layer, norm or single parameter.
      skeleton: nested dicts of ``jax.ShapeDtypeStruct``.
      epsilon: of the batch norms.
      source: what the checkpoint is called in the message.
      ignored_prefixes: prefixes of names that may be there and are not needed.
      hint: what to say if it does not fit.

    Returns:
      Nested dicts like ``skeleton`` of NumPy arrays.

    Raises:
      ValueError: one, that lists every missing, unexpected and misshapen tensor.
    """
    rules = list(rules)
    problems = _problems(tensors, expected_shapes(rules, skeleton), ignored_prefixes)
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        summary = f"weights: {source} does not fit this model ({count}){hint}"
        raise ValueError("\n  ".join([summary, *problems]))
    params = jax.tree.map(lambda leaf: leaf, skeleton)
    for rule in rules:
        target, names = _target(params, rule), set(_target(params, rule))
        rule.fill(target, tensors.__getitem__, epsilon)
        assert names == set(target), f"{rule} fills what is not there"
        for name in names:
            if isinstance(target[name], np.ndarray):
                target[name] = target[name].astype(np.float32)
    unfilled = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if not isinstance(leaf, np.ndarray)
    ]
    assert not unfilled, f"no rule fills {unfilled}"
    return params


def expected_shapes(
    rules: Iterable[Rule], skeleton: Parameters
) -> dict[str, set[tuple[int, ...]]]:
    """The tensors of a checkpoint by name; several shapes may mean the same."""
    return {
        name: shapes
        for rule in rules
        for name, shapes in rule.expected(_target(skeleton, rule))
    }


def _target(tree: Parameters, rule: Rule) -> Parameters:
    """The dict of parameters that a rule fills."""
    parts = rule.ours.split("/")
    for part in parts[:-1] if isinstance(rule, ArrayRule) else parts:
        tree = tree[int(part) if part.isdigit() else part]
    return tree


def _parts(name: str, parts: Iterable[str], shape: tuple[int, ...]) -> Shapes:
    for part in parts:
        yield f"{name}.{part}", {shape}


def _batch_norm(name: str, get: Get, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """``γ·(x - μ)/√(σ² + ε) + β`` as a scale and a shift."""
    gamma, beta, mean, variance = (
        get(f"{name}.{part}").astype(np.float64) for part in BATCH_NORM
    )
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale


def _scaled(
    kernel: np.ndarray, bias: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both times a number an output, in float64; the kernel as torch has it."""
    scale = scale.astype(np.float64)
    along = scale.reshape(-1, *[1] * (kernel.ndim - 1))
    return kernel.astype(np.float64) * along, bias.astype(np.float64) * scale


def _problems(
    tensors: Tensors,
    expected: Mapping[str, set[tuple[int, ...]]],
    ignored_prefixes: tuple[str, ...],
) -> list[str]:
    problems = []
    for name, shapes in expected.items():
        want = " or ".join(str(list(shape)) for shape in sorted(shapes))
        if name not in tensors:
            problems.append(f"missing: {name} {want}")
        elif tensors[name].shape not in shapes:
            got = list(tensors[name].shape)
            problems.append(f"misshapen: {name}, expected {want}, got {got}")
        elif (
            tensors[name].dtype.kind not in "fV"
            and tensors[name].dtype.name != "bfloat16"
        ):
            problems.append(f"not floating point: {name} {tensors[name].dtype}")
    for name in tensors:
        ignored = name.rpartition(".")[2] in IGNORED_SUFFIXES or name.startswith(
            ignored_prefixes
        )
        if name not in expected and not ignored:
            problems.append(f"unexpected: {name} {list(tensors[name].shape)}")
    return problems


def _layout(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Torch's (O, I, h, w) or (O, I) to (h, w, I, O), (h, w, C) or (I, O)."""
    if kernel.ndim == 2 and len(shape) == 4:  # flattened (I, h, w)
        kernel = kernel.reshape(-1, shape[2], *shape[:2])
    order = (2, 3, 1, 0) if kernel.ndim == 4 else (1, 0)
    return np.ascontiguousarray(kernel.transpose(order).reshape(shape))
