"""The layers that rules are about: equations that are one thing, however it was written.

A convolution, its bias and the batch norm behind it are one affine layer; ``x Φ(x)`` is
one nonlinearity of ``x``, though it is written with a product; ``exp(x) / Σ exp(x)`` is a
softmax. Only equations between the images and the score are grouped: what does not
depend on the images is a constant (a weight), which is evaluated and has no relevance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import numpy as np

from jaxattr.interpreter import scalars
from jaxattr.interpreter.primitives import (
    AFFINE,
    CONTROL_FLOW,
    ELEMENTWISE,
    MAXIMA,
    MOVES,
    RESHAPES,
    SUMS,
)
from jaxattr.interpreter.program import Equation, Program, Value, scopes

LINEAR = ("convolution", "dense")
KINDS = (
    *LINEAR,
    "sum",
    "move",
    "affine",
    "pointwise",
    "maximum",
    "addition",
    "product",
    "quotient",
    "choice",
    "softmax",
    "normalization",
    "centering",
    "scaling",
    "elementwise",
    "unknown",
)
"""What a layer can be, see ``docs/rules.md``."""


@dataclasses.dataclass(eq=False)
class Node:
    """Equations that are one layer of a network."""

    kind: str
    equations: list[Equation]
    inputs: list[Value]
    """Those that depend on the images."""
    outputs: list[Value]
    first: bool = False
    """Whether it is a linear layer with weights, and its inputs are ``raw``."""
    raw: bool = False
    """Whether its inputs are the images, at most normalised or rearranged."""
    nonnegative: bool = False
    """Whether its inputs are known not to be negative."""
    weight: Value | None = None
    """Of a linear layer, the constant that it multiplies with."""
    weight_axes: tuple[int, ...] = ()
    """The axes of the weights that are channels of the result."""
    channel_axes: tuple[int, ...] = ()
    """The same axes of what the first equation returns."""
    has_scale: bool = False
    """Of a linear layer, whether an equation behind the first multiplies."""
    curve: Callable[[np.ndarray], np.ndarray] | None = None
    """Of a pointwise layer of numbers alone, the function in numpy."""
    axes: tuple[int, ...] = ()
    """Of a softmax, the axes it sums over."""

    @property
    def last(self) -> Equation:
        """The equation that gives its result."""
        return self.equations[-1]

    @property
    def name(self) -> str:
        """Of the last equation's primitive."""
        return self.last.name

    @property
    def has_shift(self) -> bool:
        """Of an affine layer, whether it adds a constant."""
        return any(e.name in ("add", "sub", "add_any") for e in self.equations)


@dataclasses.dataclass(eq=False)
class Graph:
    """A program and its layers, in the order in which they are evaluated."""

    program: Program
    nodes: list[Node]
    active: set[Value]
    """All values that depend on the images."""
    raw: set[Value]
    """Those that are the images, at most normalised or rearranged."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a program is to be read."""

    normalizations: bool = True
    """Statistics of layer norms are constants, as LRP has it."""
    stop_gradient: bool = True
    """Behind ``stop_gradient`` all is constant."""
    parts: tuple[str, ...] = ()
    """Scopes and ``checkpoint_name`` tags that are one layer each."""


def graph(
    program: Program,
    active: Collection[Value],
    reading: Reading,
    raw: Collection[Value] = (),
) -> Graph:
    """The layers of a program.

    Args:
      program: what is read.
      active: those of its inputs that depend on the images.
      reading: how.
      raw: those of its inputs that are the images.

    Raises:
      ValueError: for a path through integers.
    """
    return _Builder(program, active, reading, raw).build()


class _Builder:
    def __init__(
        self,
        program: Program,
        active: Collection[Value],
        reading: Reading,
        raw: Collection[Value],
    ):
        self.program, self.reading = program, reading
        self.active, self.raw = set(active), set(raw)
        self.equation_of = {v: e for e in program.equations for v in e.outputs}
        self.order = {e: i for i, e in enumerate(program.equations)}
        self.parent: dict[Value, Value] = {}
        """Of a pointwise function's result, its argument."""
        self.nonnegative: set[Value] = set()
        self.weightless: set[Value] = set()
        """Constants made of literals alone."""
        self.uniform: dict[Value, Any] = {}
        """Constants that are one number everywhere."""
        self.node_of: dict[Value, Node] = {}

    def build(self) -> Graph:
        parts = _parts(self.program, self.reading.parts)
        last_of = {part[-1]: part for part in parts}
        inside = {equation for part in parts for equation in part}
        nodes = []
        for equation in self.program.equations:
            node = None
            if equation in last_of:
                node = self._part(last_of[equation])
            elif equation in inside:
                self._spread(equation)
            elif self._spread(equation):
                node = self._node(equation)
            if node is not None:
                self._note(node)
                nodes.append(node)
        return Graph(self.program, nodes, self.active, self.raw)

    def _spread(self, equation: Equation) -> bool:
        """Marks what depends on the images; whether the equation does."""
        here = [v for v in equation.inputs if v in self.active]
        stops = equation.name == "stop_gradient" and self.reading.stop_gradient
        if here and not stops:
            self.active.update(equation.outputs)
            return True
        if not here:
            self._constant(equation)
        return False

    def _constant(self, equation: Equation) -> None:
        known = [v for v in equation.inputs if self.number(v) is not None]
        if all(v in known or v in self.weightless for v in equation.inputs):
            self.weightless.update(equation.outputs)
        if known and len(known) == len(equation.inputs):
            if equation.name in ("broadcast_in_dim", "pvary", "pcast"):
                self.uniform[equation.outputs[0]] = self.number(known[0])
            elif equation.name in ELEMENTWISE:
                numbers = [self.number(v) for v in equation.inputs]
                result = scalars.evaluate([equation], dict(zip(known, numbers)))
                if result is not None:
                    self.uniform[equation.outputs[0]] = result

    def number(self, value: Value) -> Any:
        """The one number that a constant is everywhere, or None."""
        if value in self.uniform:
            return self.uniform[value]
        if value.constant is not None and value.shape == ():
            return scalars.concrete(value.constant)
        return None

    # One layer.

    def _part(self, equations: list[Equation]) -> Node | None:
        for equation in equations:
            self._spread(equation)
        made = {v for e in equations for v in e.outputs}
        used = [v for e in equations for v in e.inputs]
        inputs = [v for v in used if v in self.active and v not in made]
        inside: dict[Value, int] = {}
        for value in used:
            inside[value] = inside.get(value, 0) + 1
        uses = self.program.uses
        outputs = [
            v
            for e in equations
            for v in e.outputs
            if v in self.active and uses.get(v, 0) > inside.get(v, 0)
        ]
        if not outputs:
            return None
        return Node("part", equations, list(dict.fromkeys(inputs)), outputs)

    def _node(self, equation: Equation) -> Node | None:
        name = equation.name
        if name in CONTROL_FLOW:
            return Node(name, [equation], self._inputs(equation), equation.outputs)
        if not any(v.is_float for v in equation.outputs):
            return None  # a mask: whoever chooses by it takes it in
        if name in ELEMENTWISE:
            return self._elementwise(equation)
        return self._across(equation)

    def _inputs(self, equation: Equation) -> list[Value]:
        return list(dict.fromkeys(v for v in equation.inputs if v in self.active))

    def _elementwise(self, equation: Equation) -> Node:
        (output,) = equation.outputs
        inputs = self._inputs(equation)
        if equation.name == "select_n" and equation.inputs[0] not in self.active:
            return Node("move", [equation], inputs, [output])
        masks = [v for v in inputs if not v.is_float]
        roots = list(
            dict.fromkeys(
                r for v in inputs for r in ([v] if v.is_float else self._roots(v))
            )
        )
        root = self._common(roots, output)
        if root is not None:
            roots = [root]
        elif not masks and equation.name in ("mul", "div", "add", "sub", "add_any"):
            matched = self._softmax(equation) or self._normalization(equation)
            if matched is not None:
                return matched
        equations = self._between(equation, roots)
        if len(roots) > 1:
            kinds = {
                **dict.fromkeys(("add", "sub", "add_any"), "addition"),
                "mul": "product",
                "div": "quotient",
                **dict.fromkeys(("max", "min", "select_n", "clamp"), "choice"),
            }
            kind = kinds.get(equation.name, "elementwise")
            return Node(kind, equations, roots, [output])
        (root,) = roots
        is_affine = len(equations) == 1 and equation.name in AFFINE
        if equation.name == "div" and equation.inputs[0] is not root:
            is_affine = False
        if len([v for v in equation.inputs if v in self.active]) > 1:
            is_affine = False
        if root.shape == output.shape:
            self.parent[output] = root
        if not is_affine:
            node = Node("pointwise", equations, [root], [output])
            node.curve = self._curve(equations, root)
            return node
        return self._behind(equation, root) or Node(
            "affine", [equation], [root], [output]
        )

    def _roots(self, mask: Value) -> list[Value]:
        """The floating-point values that a mask depends on."""
        equation = self.equation_of.get(mask)
        if equation is None or equation.name not in ELEMENTWISE:
            raise _integers(mask, equation)
        found = []
        for value in equation.inputs:
            if value in self.active:
                found += [value] if value.is_float else self._roots(value)
        return found

    def _ancestors(self, value: Value) -> list[Value]:
        found = [value]
        while found[-1] in self.parent:
            found.append(self.parent[found[-1]])
        return found

    def _common(self, values: Sequence[Value], output: Value) -> Value | None:
        """The nearest value that all are pointwise functions of."""
        first, *others = (self._ancestors(v) for v in values)
        for candidate in first:
            if all(candidate in other for other in others):
                fits = len(values) == 1 or candidate.shape == output.shape
                return candidate if fits else None
        return None

    def _between(self, equation: Equation, roots: Sequence[Value]) -> list[Equation]:
        """The equations from some values to an equation, that one included."""
        found, todo = {equation}, [equation]
        while todo:
            for value in todo.pop().inputs:
                if value in self.active and value not in roots:
                    before = self.equation_of.get(value)
                    if before is None:
                        raise _integers(value, None)
                    if before not in found:
                        found.add(before)
                        todo.append(before)
        return sorted(found, key=self.order.__getitem__)

    def _curve(self, equations: list[Equation], root: Value) -> Any:
        numbers = {}
        made = {v for e in equations for v in e.outputs}
        for equation in equations:
            for value in equation.inputs:
                if value is root or value in made:
                    continue
                numbers[value] = self.number(value)
                if numbers[value] is None:
                    return None
        return lambda x: scalars.evaluate(equations, {**numbers, root: x})

    def _behind(self, equation: Equation, root: Value) -> Node | None:
        """The layer that an affine equation belongs to, if it does."""
        layer = self.node_of.get(root)
        if layer is None or self.program.uses[root] != 1:
            return None
        constants = [v for v in equation.inputs if v is not root]
        if constants and equation.outputs[0].shape != root.shape:
            return None
        scales = equation.name in ("mul", "div")
        if layer.kind == "sum":  # a mean
            if not scales or self.number(constants[0]) is None:
                return None
        elif layer.kind in LINEAR:
            if scales and not self._along_channels(constants[0], layer):
                return None
            if constants and layer.has_shift and not self._is_vector(constants[0]):
                return None
        elif layer.kind != "normalization":
            return None
        return dataclasses.replace(
            layer,
            equations=[*layer.equations, equation],
            outputs=equation.outputs,
            has_scale=layer.has_scale or scales or equation.name in ("sub", "neg"),
        )

    def _is_vector(self, value: Value) -> bool:
        """Whether a constant varies along one axis at most."""
        return len(self._varying(value)) <= 1

    def _varying(self, value: Value) -> list[int]:
        """The axes along which a constant may vary."""
        if self.number(value) is not None:
            return []
        equation = self.equation_of.get(value)
        if equation is not None and equation.name == "broadcast_in_dim":
            (source, *_), axes = (
                equation.inputs,
                equation.params["broadcast_dimensions"],
            )
            return [int(axes[i]) for i in self._varying(source)]
        if equation is not None and equation.name in ELEMENTWISE:
            varying = {a for v in equation.inputs for a in self._varying(v)}
            if all(v.shape in ((), value.shape) for v in equation.inputs):
                return sorted(varying)
        return [i for i, n in enumerate(value.shape) if n != 1]

    def _along_channels(self, scale: Value, layer: Node) -> bool:
        """Whether a factor can be taken into the weights of a layer."""
        axes: list[int] | None = list(layer.channel_axes)
        for equation in layer.equations[1:]:
            if equation.name in RESHAPES and axes is not None:
                axes = _moved(axes, equation)
        varying = set(self._varying(scale))
        return not varying if axes is None else varying <= set(axes)

    # Layers that mix places.

    def _across(self, equation: Equation) -> Node:
        name, inputs = equation.name, self._inputs(equation)
        floats = [v for v in inputs if v.is_float]
        if len(floats) != len(inputs):
            value = next(v for v in inputs if not v.is_float)
            raise _integers(value, equation)
        if name in RESHAPES and len(inputs) == 1:
            layer = self.node_of.get(inputs[0])
            if (
                layer is not None
                and layer.kind in LINEAR
                and self.program.uses[inputs[0]] == 1
            ):
                return dataclasses.replace(
                    layer,
                    equations=[*layer.equations, equation],
                    outputs=equation.outputs,
                )
        outputs = equation.outputs
        if name in MOVES:
            return Node("move", [equation], inputs, outputs)
        if name in SUMS:
            return Node("sum", [equation], inputs, outputs)
        if name in MAXIMA:
            return Node("maximum", [equation], inputs, outputs)
        if not _is_linear(equation, inputs):
            if len(inputs) == 2 and all(_is_linear(equation, [v]) for v in inputs):
                return Node("product", [equation], inputs, outputs)
            return Node("unknown", [equation], inputs, outputs)
        weights = [
            v
            for v in equation.inputs
            if v not in self.active and v.is_float and v not in self.weightless
        ]
        if len(inputs) != 1 or len(weights) != 1 or self.number(weights[0]) is not None:
            return Node("sum", [equation], inputs, outputs)
        node = Node("dense", [equation], inputs, outputs, weight=weights[0])
        if _is_convolution(equation, inputs[0]):
            node.kind = "convolution"
        node.weight_axes, node.channel_axes = _channels(equation, weights[0])
        node.first = inputs[0] in self.raw
        return node

    # Patterns.

    def _back(self, value: Value, names: Collection[str]) -> list[Equation]:
        """The equations of such names that a value comes through, one after another."""
        found: list[Equation] = []
        while True:
            equation = self.equation_of.get(value)
            if equation is None or equation.name not in names:
                return found
            inputs = self._inputs(equation)
            if len(inputs) != 1:
                return found
            found.append(equation)
            (value,) = inputs

    def _softmax(self, equation: Equation) -> Node | None:
        """``exp(x - shift) / Σ exp(x - shift)``."""
        if equation.name != "div":
            return None
        numerator, denominator = equation.inputs
        moves = self._back(denominator, MOVES)
        source = moves[-1].inputs[0] if moves else denominator
        total = self.equation_of.get(source)
        exp = self.equation_of.get(numerator)
        if total is None or total.name != "reduce_sum" or exp is None:
            return None
        if exp.name != "exp" or total.inputs[0] is not numerator:
            return None
        equations = [exp, total, *moves[::-1], equation]
        root = exp.inputs[0]
        shift = self.equation_of.get(root)
        axes = tuple(int(a) for a in total.params["axes"])
        if (
            shift is not None
            and shift.name == "sub"
            and shift.inputs[0] in self.active
            and self._is_alike_along(shift.inputs[1], axes)
        ):
            equations.insert(0, shift)
            root = shift.inputs[0]
        return Node("softmax", equations, [root], equation.outputs, axes=axes)

    def _is_alike_along(self, value: Value, axes: Collection[int]) -> bool:
        """Whether a value is the same all along some axes."""
        if value.shape and all(value.shape[a] == 1 for a in axes):
            return True
        equation = self.equation_of.get(value)
        if equation is None:
            return False
        if equation.name == "stop_gradient":
            return self._is_alike_along(equation.inputs[0], axes)
        if equation.name != "broadcast_in_dim":
            return False
        source = equation.inputs[0]
        kept = [
            int(a)
            for a, n in zip(equation.params["broadcast_dimensions"], source.shape)
            if n != 1
        ]
        return not set(kept) & set(axes)

    def _normalization(self, equation: Equation) -> Node | None:
        """``x - mean x``, or ``x`` times or over a statistic of itself."""
        if not self.reading.normalizations or len(equation.inputs) != 2:
            return None
        x, statistic = equation.inputs
        if equation.name == "mul" and x.shape != equation.outputs[0].shape:
            x, statistic = statistic, x
        if x.shape != equation.outputs[0].shape:
            return None
        if equation.name == "sub":
            between = self._statistic(statistic, x, linear=True)
            if between is None:
                return None
            return Node(
                "centering",
                sorted({*between, equation}, key=self.order.__getitem__),
                [x],
                equation.outputs,
            )
        if equation.name not in ("mul", "div"):
            return None
        candidates = [(x, statistic)]
        if equation.name == "mul":
            candidates.append((statistic, x))
        for x, statistic in candidates:
            between = self._statistic(statistic, self._base(x), linear=False)
            if between is not None and (
                equation.name == "div" or any(map(self._is_root, between))
            ):
                return self._normalized(equation, x)
        return None

    def _normalized(self, equation: Equation, x: Value) -> Node:
        """A factor that is a statistic of ``x``, and the centering before it."""
        centering = self.node_of.get(x)
        if centering is None or centering.kind != "centering":
            return Node("scaling", [equation], [x], equation.outputs)
        equations = [*centering.equations, equation]
        return Node("normalization", equations, centering.inputs, equation.outputs)

    def _base(self, value: Value) -> Value:
        """What a value is a pointwise function or a centering of."""
        while True:
            value = self._ancestors(value)[-1]
            equation = self.equation_of.get(value)
            if equation is None or value not in self.active:
                return value
            node = self.node_of.get(value)
            if node is not None and node.kind == "centering":
                (value,) = node.inputs
            elif equation.name in RESHAPES:
                value = equation.inputs[0]
            else:
                return value

    def _statistic(
        self, value: Value, base: Value, linear: bool
    ) -> list[Equation] | None:
        """How a value comes from sums over functions of ``base``, if it only does."""
        found: list[Equation] = []
        todo, seen, sums = [value], set(), False
        while todo:
            value = todo.pop()
            if value in seen:
                continue
            seen.add(value)
            if value not in self.active and not self._is_stopped(value):
                continue
            equation = self.equation_of.get(value)
            if equation is None:
                return None
            found.append(equation)
            if equation.name in SUMS:
                sums = True
                source = equation.inputs[0]
                if (source if linear else self._base(source)) is not base:
                    return None
            elif (
                equation.name in MOVES
                or (equation.name in ELEMENTWISE and not linear)
                or (equation.name in ("mul", "div", "convert_element_type") and linear)
            ):
                todo += equation.inputs
            else:
                return None
        return found if sums else None

    def _is_root(self, equation: Equation) -> bool:
        if equation.name == "div":
            return equation.inputs[1] in self.active
        return equation.name in ("rsqrt", "sqrt", "pow")

    def _is_stopped(self, value: Value) -> bool:
        equation = self.equation_of.get(value)
        return equation is not None and equation.name == "stop_gradient"

    # What is known of a layer's result.

    def _note(self, node: Node) -> None:
        for output in node.outputs:
            self.node_of[output] = node
        node.raw = all(v in self.raw for v in node.inputs)
        node.nonnegative = all(v in self.nonnegative for v in node.inputs)
        prepares = node.kind in ("move", "affine", "pointwise") or is_resizing(node)
        if node.raw and prepares:
            self.raw.update(node.outputs)
        if self._is_nonnegative(node):
            self.nonnegative.update(node.outputs)

    def _is_nonnegative(self, node: Node) -> bool:
        equation = node.last
        if node.kind == "softmax":
            return True
        if node.kind == "pointwise":
            if node.curve is None:
                return False
            grid = scalars.GRID
            values = node.curve(grid[grid >= 0] if node.nonnegative else grid)
            return values is not None and bool(np.all(values >= 0))
        if node.kind == "affine":
            others = [
                self.number(v) for v in equation.inputs if v is not node.inputs[0]
            ]
            return (
                node.nonnegative
                and equation.name
                in ("mul", "div", "add", "convert_element_type", "name")
                and all(n is not None and n >= 0 for n in others)
            )
        if node.kind == "choice" and equation.name in ("select_n", "max", "min"):
            cases = equation.inputs[1 if equation.name == "select_n" else 0 :]
            return all(self._counts_as_nonnegative(v) for v in cases)
        if node.kind in ("addition", "product", "quotient"):
            return equation.name in ("add", "mul", "div", "dot_general") and all(
                v in self.nonnegative for v in equation.inputs
            )
        if node.kind in ("move", "maximum") or equation.name in SUMS:
            cases = [v for v in equation.inputs if v.is_float]
            return all(self._counts_as_nonnegative(v) for v in cases)
        return False

    def _counts_as_nonnegative(self, value: Value) -> bool:
        """Also what pads a maximum: it never wins."""
        number = self.number(value)
        if number is not None:
            return bool(number >= 0 or number == -np.inf)
        return value in self.nonnegative


def is_resizing(node: Node) -> bool:
    """Whether it is a product with a matrix that is no weight, as resizing is."""
    return node.kind == "sum" and node.equations[0].name not in SUMS


def _parts(program: Program, names: Sequence[str]) -> list[list[Equation]]:
    """The equations of each named part."""
    found: dict[tuple[str, str], list[Equation]] = {}
    for equation in program.equations:
        for name in names:
            if equation.name == "name" and equation.params["name"] == name:
                found.setdefault((name, f"tag{id(equation)}"), []).append(equation)
                break
            if name in scopes(equation.scope):
                found.setdefault((name, "scope"), []).append(equation)
                break
    return list(found.values())


def _is_linear(equation: Equation, values: Sequence[Value]) -> bool:
    """Whether an equation has a transpose in some of its inputs."""
    if not all(v.is_float for v in equation.outputs):
        return False

    def function(*arguments: Any) -> Any:
        given = dict(zip(values, arguments))
        with jax.named_scope("linear"):
            return equation(*(given.get(v, _stand_in(v)) for v in equation.inputs))

    try:
        shapes = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in values]
        out = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in equation.outputs]
        jax.eval_shape(lambda o: jax.linear_transpose(function, *shapes)(o), out)
    except Exception:  # whatever a primitive raises that cannot be transposed
        return False
    return True


def _stand_in(value: Value) -> Any:
    return jax.numpy.ones(value.shape, value.dtype)


def _is_convolution(equation: Equation, images: Value) -> bool:
    """A product over places too, or of images ``(N, H, W, I)`` with a matrix."""
    if equation.name != "dot_general":
        return True
    (left, right), _ = equation.params["dimension_numbers"]
    contracted = left if equation.inputs[0] is images else right
    return len(images.shape) - len(contracted) >= 3


def _moved(axes: Sequence[int], equation: Equation) -> list[int] | None:
    """Where axes are after a reshape, None where they are merged or split."""
    before, after = equation.inputs[0].shape, equation.outputs[0].shape
    if equation.name == "transpose":
        order = [int(a) for a in equation.params["permutation"]]
        return [order.index(a) for a in axes]
    kept, there = (
        [i for i, n in enumerate(shape) if n != 1] for shape in (before, after)
    )
    if [before[i] for i in kept] != [after[i] for i in there]:
        return None
    return [there[kept.index(a)] for a in axes if a in kept]


def _channels(
    equation: Equation, weight: Value
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of the weights that are channels of the result, and those there."""
    rank = len(equation.outputs[0].shape)
    if equation.name == "dot_general":
        contracted, batch = equation.params["dimension_numbers"]
        side = 1 if equation.inputs[1] is weight else 0
        taken = {int(a) for a in (*contracted[side], *batch[side])}
        free = tuple(i for i in range(len(weight.shape)) if i not in taken)
        start = len(batch[side]) if side == 0 else rank - len(free)
        return free, tuple(range(start, start + len(free)))
    if equation.name == "conv_general_dilated":
        numbers = equation.params["dimension_numbers"]
        return (int(numbers.rhs_spec[0]),), (int(numbers.out_spec[1]),)
    # Other convolutions have channels last, as this package's have.
    last = len(weight.shape) - 1
    if weight.shape[-1:] == equation.outputs[0].shape[-1:]:
        return (last,), (rank - 1,)
    return (), ()


def _integers(value: Value, equation: Equation | None) -> ValueError:
    where = "" if equation is None else f" into {equation.name!r} ({equation.line})"
    return ValueError(
        f"logits_fn: the score depends on the images through {value.dtype} values"
        f"{where}, through which no relevance can pass; compute them in floating point, "
        "or cut them off with jax.lax.stop_gradient"
    )
