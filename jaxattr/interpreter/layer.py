"""What a rule sees of a layer: its values, its function, and that function's transpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxattr._numerics.dtypes import widen
from jaxattr.interpreter.nodes import LINEAR, Node
from jaxattr.interpreter.primitives import RESHAPES
from jaxattr.interpreter.program import Equation, Value
from jaxattr.typing import Array, Scalar

Read = Callable[[Value, int], Array]


class Layer:
    """A layer of a network where it has been evaluated.

    Attributes:
      kind: what it is, one of ``ja.rules.KINDS``.
      name: the primitive that gives its result, ``"dot_general"``.
      scope: the ``jax.named_scope`` that it is in, ``"outer/inner"`` or ``""``.
      raw: whether its inputs are the images, at most normalised and rearranged.
      nonnegative: whether its inputs are known not to be negative.
    """

    def __init__(self, node: Node, read: Read, images: Callable[[ArrayLike], Array]):
        self.node = node
        self.kind = node.kind
        self.name = node.name
        self.scope = node.last.scope
        self.raw = node.raw
        self.nonnegative = node.nonnegative
        self._read = read
        self._images = images

    # Values.

    @property
    def inputs(self) -> tuple[Array, ...]:
        """Its inputs that depend on the images."""
        return self.inputs_at(0)

    @property
    def outputs(self) -> tuple[Array, ...]:
        """Its results."""
        return self.outputs_at(0)

    def inputs_at(self, point: int) -> tuple[Array, ...]:
        """Its inputs for one of the images that are compared."""
        return tuple(self._read(v, point) for v in self.node.inputs)

    def outputs_at(self, point: int) -> tuple[Array, ...]:
        """Its results for one of the images that are compared."""
        return tuple(self._read(v, point) for v in self.node.outputs)

    def input_of(self, images: ArrayLike) -> Array:
        """Its input if the images were these, of a layer whose input is ``raw``."""
        return self._images(images)

    # Its function.

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """Its results for other inputs."""
        return self._run(self.node.equations, self.node.inputs, inputs)

    def linear_part(self, *inputs: Array) -> tuple[Array, ...]:
        """The same without what an affine layer adds."""
        return self._run(self.node.equations, self.node.inputs, inputs, shift=False)

    def transpose(self, cotangents: Sequence[Array]) -> tuple[Array, ...]:
        """``Aᵀ g`` of a layer that is linear in all its inputs together."""
        return self.transpose_of(self.linear_part, self.inputs, cotangents)

    def pull(self, cotangents: Sequence[Array], point: int = 0) -> tuple[Array, ...]:
        """``Jᵀ g`` with the derivative J of a layer where it is evaluated."""
        _, pull = jax.vjp(lambda *x: self(*x), *self.inputs_at(point))
        return pull(tuple(cotangents))

    @staticmethod
    def transpose_of(
        function: Callable[..., tuple[Array, ...]],
        inputs: Sequence[Array],
        cotangents: Sequence[Array],
    ) -> tuple[Array, ...]:
        """``fᵀ g`` of a linear function."""
        results = jax.eval_shape(function, *inputs)
        given = tuple(
            g.astype(r.dtype) for g, r in zip(cotangents, results, strict=True)
        )
        return jax.linear_transpose(function, *inputs)(given)

    # Linear layers with weights.

    @property
    def has_weights(self) -> bool:
        """Whether rules may change its weights."""
        return self.kind in LINEAR

    @property
    def weights(self) -> Array:
        """What it multiplies with, the batch norm behind it taken in."""
        assert self.node.weight is not None
        weights = self._read(self.node.weight, 0)
        if not self.node.has_scale:
            return weights
        operation, *behind = self.node.equations
        before = self._of(operation, jnp.zeros_like)
        (scale,) = self.transpose_of(
            lambda y: self._run(behind, operation.outputs, [y], shift=False),
            (before,),
            (jnp.ones_like(self.outputs[0]),),
        )
        for axis in range(scale.ndim):
            if axis not in self.node.channel_axes:
                scale = lax.slice_in_dim(scale, 0, 1, axis=axis)
        scale = scale.reshape([scale.shape[a] for a in self.node.channel_axes])
        shape = [1] * weights.ndim
        for axis, size in zip(self.node.weight_axes, scale.shape, strict=True):
            shape[axis] = size
        return weights * scale.reshape(shape).astype(weights.dtype)

    @property
    def bias(self) -> Array:
        """What it adds, in the shape of its result; zeros if nothing."""
        operation, *behind = self.node.equations
        zeros = jnp.zeros_like(self._of(operation, jnp.zeros_like))
        return self._run(behind, operation.outputs, [zeros])[0]

    def product(self, inputs: Array, weights: Array) -> Array:
        """Its result for such inputs and weights, without the bias."""
        operation, *behind = self.node.equations
        (result,) = operation(
            *(
                weights
                if v is self.node.weight
                else inputs
                if v is self.node.inputs[0]
                else self._read(v, 0)
                for v in operation.inputs
            )
        )
        shapes = [e for e in behind if e.name in (*RESHAPES, "convert_element_type")]
        return self._chain(shapes, result)

    def product_transpose(self, weights: Array, cotangent: Array) -> Array:
        """The transpose of ``product`` in its inputs."""
        (result,) = self.transpose_of(
            lambda x: (self.product(x, weights),), self.inputs, (cotangent,)
        )
        return result

    # How equations are run.

    def _of(self, operation: Equation, make: Callable[[Array], Array]) -> Array:
        """An array like what the first equation returns."""
        return make(self._read(operation.outputs[0], 0))

    def _chain(self, equations: Sequence[Equation], value: Array) -> Array:
        for equation in equations:
            (value,) = equation(
                *(
                    value if v is self._argument(equation) else self._read(v, 0)
                    for v in equation.inputs
                )
            )
        return value

    def _argument(self, equation: Equation) -> Value:
        """The one input of an equation behind the first that is not a constant."""
        made = {v for e in self.node.equations for v in e.outputs}
        return next(v for v in equation.inputs if v in made)

    def _run(
        self,
        equations: Sequence[Equation],
        values: Sequence[Value],
        inputs: Sequence[Array],
        shift: bool = True,
    ) -> tuple[Array, ...]:
        known = dict(zip(values, inputs, strict=True))
        outputs: list[Array] = list(inputs)
        for equation in equations:
            arguments = [
                known[v] if v in known else self._read(v, 0) for v in equation.inputs
            ]
            here = [i for i, v in enumerate(equation.inputs) if v in known]
            is_shift = equation.name in ("add", "add_any", "sub") and len(here) == 1
            if is_shift and not shift:
                (argument,) = (arguments[i] for i in here)
                if equation.name == "sub" and here == [1]:
                    argument = -argument
                outputs = [jnp.broadcast_to(argument, equation.outputs[0].shape)]
            else:
                outputs = equation(*arguments)
            known |= zip(equation.outputs, outputs, strict=True)
        if equations is self.node.equations:
            return tuple(known[v] for v in self.node.outputs)
        return tuple(outputs)


def quotient(relevance: Array, value: Array, epsilon: Scalar) -> Array:
    """``r / (z + ε sign z)``, the sign of zero being one; zero where both are zero.

    In float32 or wider.
    """
    relevance, value = widen(relevance), widen(value)
    stabilized = value + jnp.where(value >= 0, epsilon, -epsilon).astype(value.dtype)
    if isinstance(epsilon, float) and epsilon >= jnp.finfo(value.dtype).tiny:
        return relevance / stabilized  # which is nowhere zero
    safe = jnp.where(stabilized == 0, jnp.ones_like(stabilized), stabilized)
    return jnp.where(stabilized == 0, jnp.zeros_like(relevance), relevance / safe)


def fold(array: Array, shape: Sequence[int]) -> Array:
    """The transpose of broadcasting from ``shape`` (of the same rank, or a number)."""
    if array.shape == tuple(shape):
        return array
    if not shape:
        return jnp.sum(array)
    axes = tuple(i for i, (n, m) in enumerate(zip(array.shape, shape)) if n != m)
    return jnp.sum(array, axes, keepdims=True)
