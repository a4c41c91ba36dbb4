"""From a checkpoint's names and layouts to a model's parameters, norms folded in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

IGNORED = ("num_batches_tracked",)
"""Last parts of names that carry nothing for inference."""


class Rule(NamedTuple):
    """Where one layer, its ``kernel`` and ``bias``, comes from.

    ``ours`` is the layer's path in the parameter tree (``"blocks/0/expand"``),
    ``theirs`` the module's name in the checkpoint, ``norm`` the name of the batch norm
    that follows it.
    """

    ours: str
    theirs: str
    norm: str | None = None
    bias: bool | None = None
    """Whether ``theirs`` has a bias; by default exactly if no norm follows."""


def convert(
    tensors: Mapping[str, np.ndarray],
    rules: Iterable[Rule],
    skeleton: Any,
    *,
    epsilon: float,
    source: str,
) -> Any:
    """The parameters of ``skeleton``, float32, filled from ``tensors``.

    Args:
      tensors: a checkpoint, arrays by name, in torch's layouts.
      rules: one for each layer.
      skeleton: nested dicts of ``jax.ShapeDtypeStruct``, each layer a dict of
        ``kernel`` and ``bias``.
      epsilon: of the batch norms.
      source: what the checkpoint is called in the message.

    Returns:
      Nested dicts like ``skeleton`` of NumPy arrays.

    Raises:
      ValueError: one, that lists every missing, unexpected and misshapen tensor.
    """
    layers = [(rule, _layer(skeleton, rule.ours)) for rule in rules]
    expected = {
        name: shape
        for rule, layer in layers
        for name, shape in _expected(rule, layer["kernel"].shape)
    }
    problems = _problems(tensors, expected)
    if problems:
        summary = (
            f"weights: {source} does not fit this model ({len(problems)} problems)"
        )
        raise ValueError("\n  ".join([summary, *problems]))
    params = jax.tree.map(lambda _: None, skeleton)
    for rule, layer in layers:
        kernel, bias = _fold(rule, tensors, epsilon)
        target = _layer(params, rule.ours)
        target["kernel"] = _layout(kernel, layer["kernel"].shape).astype(np.float32)
        target["bias"] = bias.astype(np.float32)
    unfilled = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params, is_leaf=_is_none)
        if leaf is None
    ]
    assert not unfilled, f"no rule fills {unfilled}"
    return params


def _expected(rule: Rule, kernel: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Names and torch shapes; a set of shapes where more than one means the same."""
    outputs = kernel[-1]
    shapes: set[tuple[int, ...]]
    if len(kernel) == 4:  # (h, w, I, O)
        shapes = {(kernel[3], kernel[2], *kernel[:2])}
    elif len(kernel) == 3:  # (h, w, C)
        shapes = {(outputs, 1, *kernel[:2])}
    else:  # (I, O), a linear layer or a 1x1 convolution
        shapes = {kernel[::-1], (*kernel[::-1], 1, 1)}
    yield f"{rule.theirs}.weight", shapes
    if _has_bias(rule):
        yield f"{rule.theirs}.bias", {(outputs,)}
    if rule.norm is not None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield f"{rule.norm}.{part}", {(outputs,)}


def _problems(
    tensors: Mapping[str, np.ndarray], expected: Mapping[str, set[tuple[int, ...]]]
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
        if name not in expected and name.rpartition(".")[2] not in IGNORED:
            problems.append(f"unexpected: {name} {list(tensors[name].shape)}")
    return problems


def _fold(
    rule: Rule, tensors: Mapping[str, np.ndarray], epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (torch layout) and bias of the layer and its norm in one, in float64.

    γ·(w·x + b - μ)/√(σ² + ε) + β  =  (γ/√(σ² + ε))·w·x + (b - μ)·γ/√(σ² + ε) + β
    """

    def get(name: str) -> np.ndarray:
        return tensors[name].astype(np.float64)

    kernel = get(f"{rule.theirs}.weight")
    bias = get(f"{rule.theirs}.bias") if _has_bias(rule) else np.zeros(len(kernel))
    if rule.norm is None:
        return kernel, bias
    gamma, beta, mean, variance = (
        get(f"{rule.norm}.{part}")
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + epsilon)
    kernel = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    return kernel, (bias - mean) * scale + beta


def _layout(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Torch's (O, I, h, w) or (O, I) to (h, w, I, O), (h, w, C) or (I, O)."""
    order = (2, 3, 1, 0) if kernel.ndim == 4 else (1, 0)
    return np.ascontiguousarray(kernel.transpose(order).reshape(shape))


def _has_bias(rule: Rule) -> bool:
    return rule.norm is None if rule.bias is None else rule.bias


def _layer(tree: Any, path: str) -> Any:
    for part in path.split("/"):
        tree = tree[int(part) if part.isdigit() else part]
    return tree


def _is_none(leaf: Any) -> bool:
    return leaf is None
