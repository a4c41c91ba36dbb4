"""The attention matrices of any function: where they are, values and derivatives.

An attention matrix is a softmax over tokens that a product with values follows, as
``jax.nn.dot_product_attention`` and every attention block have it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxattr._checks import check_choice, fail
from jaxattr._numerics.dtypes import widen
from jaxattr.inside import named_values
from jaxattr.interpreter.grouping import graph
from jaxattr.interpreter.nodes import Node, Reading
from jaxattr.interpreter.program import Program, Value, scopes, trace
from jaxattr.typing import Array, LogitsFn

_SAME = ("convert_element_type", "name", "copy", "copy_p", "stop_gradient")
"""What may lie between the softmax and the product, beside transpositions."""


@dataclasses.dataclass(eq=False)
class Matrix:
    """Where a function has an attention matrix."""

    value: Value
    """What the softmax returns."""
    order: tuple[int, ...]
    """Its axes: images, heads, queries, keys."""
    scope: str
    """The named scopes that it is in."""

    def with_images_along(self, shape: Sequence[int]) -> Matrix:
        """With that axis first that has another size in the shape for one image."""
        axes = self.order[:-2]
        sizes = self.value.shape
        order = sorted(axes, key=lambda a: (sizes[a] == shape[a], axes.index(a)))
        return dataclasses.replace(self, order=(*order, *self.order[-2:]))

    def laid_out(self, array: Array) -> Array:
        """The value, or what has its shape, as ``(N, heads, T, T)``."""
        array = jnp.transpose(widen(array), self.order)
        return array.reshape(array.shape[0], -1, *array.shape[-2:])


class Attention:
    """The attention matrices of a function for some images, in order.

    Args:
      logits_fn: of images ``(N, H, W, C)``, any JAX function with self-attention among
        all tokens of an image.
      images: ``(N, H, W, C)``.

    Raises:
      ValueError: for a function without attention; among other tokens than all of an
        image (windows, queries of another kind).
    """

    def __init__(self, logits_fn: LogitsFn, images: Array):
        self.images = images
        self.program, self.structure = trace(logits_fn, images)
        self.matrices = _found(self.program)
        if not self.matrices:
            raise fail(
                "logits_fn",
                "a model with self-attention, whose softmax a product with values "
                "follows (outside of scan, cond and while)",
                logits_fn,
            )
        num_images = images.shape[0]
        if num_images > 1:
            # Their axis is the one that shrinks with them: heads may be as many.
            one = jax.ShapeDtypeStruct((1, *images.shape[1:]), images.dtype)
            self.matrices = [
                m.with_images_along(other.value.shape)
                for m, other in zip(
                    self.matrices, _found(trace(logits_fn, one)[0]), strict=True
                )
            ]
        shapes = [
            [m.value.shape[a] for a in (m.order[0], *m.order[-2:])]
            for m in self.matrices
        ]
        self.num_tokens = shapes[0][1]
        for matrix, shape in zip(self.matrices, shapes, strict=True):
            if shape != [num_images, self.num_tokens, self.num_tokens]:
                expected = (
                    "attention (N, heads, T, T) among all T tokens of an image, the same "
                    "in every block, as ViT has it; attention in windows (MaxViT) or "
                    "with other queries has no map of the whole image"
                )
                where = f" in {matrix.scope}" if matrix.scope else ""
                raise ValueError(
                    f"logits_fn: expected {expected}; got {list(matrix.value.shape)}"
                    f"{where} for {num_images} images"
                )

    def values(self) -> list[Array]:
        """``(N, heads, T, T)`` of each."""
        wanted = [m.value for m in self.matrices]
        program = Program(self.program.inputs, wanted, self.program.equations)
        found = program(self.images)
        return [m.laid_out(a) for m, a in zip(self.matrices, found, strict=True)]

    def zeros(self) -> list[Array]:
        """What may be added to each, and changes nothing."""
        return [jnp.zeros(m.value.shape, m.value.dtype) for m in self.matrices]

    def logits(self, added: Sequence[Array], images: Array) -> Any:
        """What the function returns where this is added to the matrices."""
        return self._returned(self._run(added, images, {}))

    def blocks(
        self, added: Sequence[Array], ends: Sequence[Value]
    ) -> tuple[list[Array], Callable[[Array], Any]]:
        """What the blocks return, each for the others' results as they are.

        Args:
          added: to the matrices; what a block returns depends on its own alone.
          ends: the values that the blocks return.

        Returns:
          The values, and the function from the last of them to what is returned.
        """
        results: dict[Value, Array] = {}
        # As they are without anything added: constants here, yet functions of the images.
        program = Program(self.program.inputs, list(ends), self.program.equations)
        before = dict(zip(ends, program(self.images), strict=True))

        def instead(value: Value, array: Array) -> Array:
            results[value] = array
            return before[value]

        known = self._run(added, self.images, dict.fromkeys(ends, instead))
        behind = self.program.dependent([ends[-1]])

        def head(array: Array) -> Any:
            values = {**known, ends[-1]: array}
            for equation in self.program.equations:
                if any(v in behind for v in equation.inputs):
                    arguments = [values.get(v, v.constant) for v in equation.inputs]
                    values |= zip(equation.outputs, equation(*arguments), strict=True)
            return self._returned(values)

        return [results[v] for v in ends], head

    def ends(self, names: Sequence[str] | None) -> list[Value]:
        """The values that the blocks return, one for each attention matrix.

        Args:
          names: as ``ja.inside.names`` has them; by default the outermost named scopes
            that have one attention each.

        Raises:
          ValueError: where there are none, or others than one a block.
        """
        if names is None:
            every = [list(scopes(m.scope)) for m in self.matrices]
            used = Counter(scope for found in every for scope in found)
            names = [next((s for s in f if used[s] == 1), "") for f in every]
        known = named_values(self.program)
        expected = (
            f"the names of what the {len(self.matrices)} blocks with attention return, "
            "tokens (N, T, D), in order; ja.inside.names has them"
        )
        if len(names) != len(self.matrices) or "" in names:
            raise fail("layers", expected, tuple(names))
        for name in names:
            check_choice("layers", name, known)
        found = [known[name] for name in names]
        tokens = (self.images.shape[0], self.num_tokens)
        place = {v: i for i, e in enumerate(self.program.equations) for v in e.outputs}
        places = [
            place[v] for m, end in zip(self.matrices, found) for v in (m.value, end)
        ]
        fits = all(len(v.shape) == 3 and v.shape[:2] == tokens for v in found)
        if not fits or places != sorted(places):
            raise fail("layers", expected, tuple(names))
        return found

    def _returned(self, known: Mapping[Value, Any]) -> Any:
        results = [known.get(v, v.constant) for v in self.program.outputs]
        return jax.tree.unflatten(self.structure, results)

    def _run(
        self,
        added: Sequence[Array],
        images: Array,
        instead: Mapping[Value, Callable[[Value, Array], Array]],
    ) -> dict[Value, Any]:
        """All values where this is added to the matrices and those are others."""
        more = {m.value: a for m, a in zip(self.matrices, added, strict=True)}
        known: dict[Value, Any] = dict(zip(self.program.inputs, [images], strict=True))
        for equation in self.program.equations:
            arguments = [known.get(v, v.constant) for v in equation.inputs]
            known |= zip(equation.outputs, equation(*arguments), strict=True)
            for value in equation.outputs:
                if value in more:
                    known[value] = known[value] + more[value]
                if value in instead:
                    known[value] = instead[value](value, known[value])
        return known


def _found(program: Program) -> list[Matrix]:
    layers = graph(program, program.inputs, Reading())
    found = (
        _matrix(program, layers.active, node)
        for node in layers.nodes
        if node.kind == "softmax" and len(node.axes) == 1
    )
    return [matrix for matrix in found if matrix is not None]


def _matrix(program: Program, active: set[Value], node: Node) -> Matrix | None:
    """The matrix that a softmax is, if a product over its axis follows."""
    (value,) = node.outputs
    axes = {value: tuple(range(len(value.shape)))}
    for equation in program.equations:
        here = [i for i, v in enumerate(equation.inputs) if v in axes]
        if not here:
            continue
        before = axes[equation.inputs[here[0]]]
        if equation.name == "transpose":
            order = equation.params["permutation"]
            axes[equation.outputs[0]] = tuple(before[int(a)] for a in order)
        elif equation.name in _SAME:
            axes[equation.outputs[0]] = before
        elif equation.name == "dot_general" and all(
            v in active for v in equation.inputs
        ):
            contracted, batch = equation.params["dimension_numbers"]
            keys = [before[int(a)] for a in contracted[here[0]]]
            shared = [before[int(a)] for a in batch[here[0]]]
            # Beside the queries, heads that share their values are free as well.
            free = [a for a in before if a not in (*keys, *shared)]
            if tuple(keys) == node.axes and free and shared:
                size = value.shape[keys[0]]
                alike = [a for a in free if value.shape[a] == size]
                queries = (alike or free)[-1]
                heads = (a for a in free if a != queries)
                order = (*sorted(shared), *heads, queries, *keys)
                return Matrix(value, order, node.last.scope)
    return None
