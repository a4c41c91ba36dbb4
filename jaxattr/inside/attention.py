"""The attention matrices of any function: where they are, values and derivatives.

An attention matrix is a softmax over tokens that a product with values follows, as
``jax.nn.dot_product_attention`` and every attention block have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from jaxattr._checks import check_choice, fail
from jaxattr.inside import named_values
from jaxattr.inside.matrices import Matrix, matrices
from jaxattr.inside.windows import Windows, key_ids, leading_axes, windows
from jaxattr.interpreter.positions import Grid, positions
from jaxattr.interpreter.program import Program, Value, scopes, trace
from jaxattr.typing import Array, LogitsFn


class Attention:
    """The attention matrices of a function for some images, in order.

    Args:
      logits_fn: of images ``(N, H, W, C)``, any JAX function with self-attention among
        all tokens of an image, or in windows of features.
      images: ``(N, H, W, C)``.
      grid: rows and columns in the proportion of the features; by default those of the
        images.

    Raises:
      ValueError: for a function without attention; among other tokens than all of an
        image, in one window or several.
    """

    windows: list[Windows] | None
    """Of each, where it is in windows; of tokens ``(N, T, D)`` None."""

    def __init__(self, logits_fn: LogitsFn, images: Array, grid: Grid | None = None):
        self.images = images
        self.program, self.structure = trace(logits_fn, images)
        self.matrices = matrices(self.program)
        if not self.matrices:
            raise fail(
                "logits_fn",
                "a model with self-attention, whose softmax a product with values "
                "follows (outside of scan, cond and while)",
                logits_fn,
            )
        num_images = images.shape[0]
        self.positions = positions(
            self.program,
            (images.shape[1], images.shape[2]) if grid is None else grid,
            {m.value: m.order[-1] for m in self.matrices},
            {m.product: m.values for m in self.matrices},
        )
        found = [windows(m, self.positions, num_images) for m in self.matrices]
        known = [f for f in found if f is not None]
        self.num_tokens = self.matrices[0].value.shape[self.matrices[0].order[-1]]
        shapes = {w.queries.shape for _, w in known}
        if len(known) == len(found) and shapes != {(1, self.num_tokens)}:
            self.matrices = [m for m, _ in known]
            self.windows = [w for _, w in known]
            return
        self.windows = None
        if num_images > 1:
            # Their axis is the one that shrinks with them: heads may be as many.
            one = jax.ShapeDtypeStruct((1, *images.shape[1:]), images.dtype)
            self.matrices = [
                m.with_images_along(other.value.shape)
                for m, other in zip(
                    self.matrices, matrices(trace(logits_fn, one)[0]), strict=True
                )
            ]
        # First those without places: in a model with windows it is they that are wrong.
        for i in sorted(range(len(found)), key=lambda i: found[i] is not None):
            self._check_tokens(self.matrices[i])

    def _check_tokens(self, matrix: Matrix) -> None:
        """That it is among all tokens of an image."""
        shape = [matrix.value.shape[a] for a in (matrix.order[0], *matrix.order[-2:])]
        queries, keys = (
            self.positions.get(matrix.value),
            key_ids(matrix, self.positions),
        )
        ids = [i for i in (queries and queries.ids, keys) if i is not None]
        in_windows = any(a != matrix.order[0] for a in leading_axes(matrix, *ids))
        tokens = [self.images.shape[0], self.num_tokens, self.num_tokens]
        if shape != tokens or in_windows:
            expected = (
                "attention (N, heads, T, T) among all T tokens of an image, the same in "
                "every block, as ViT has it, or in windows that together have each place "
                "of features (N, h, w, C) once, without padding, h : w as the images (or "
                "grid) have it, as MaxViT has it"
            )
            where = f" in {matrix.scope}" if matrix.scope else ""
            raise ValueError(
                f"logits_fn: expected {expected}; got {list(matrix.value.shape)}"
                f"{where} for {self.images.shape[0]} images"
            )

    def values(self) -> list[Array]:
        """``(N, heads, T, T)`` of each."""
        wanted = [m.value for m in self.matrices]
        program = Program(self.program.inputs, wanted, self.program.equations)
        found = program(self.images)
        return [m.laid_out(a) for m, a in zip(self.matrices, found, strict=True)]

    def seen_from(self, index: int, row: Array, matrix: Array) -> Array:
        """``row @ A`` of one of them, or of what has its shape, the mean over its heads.

        Args:
          index: which.
          row: ``(N, T)``, or ``(N, rows · columns)`` where it is in windows.
          matrix: ``(N, T, T)``, or ``(N · windows, t, t)``.
        """
        if self.windows is not None:
            return self.windows[index].seen_from(row, matrix)
        return jnp.einsum("nt,nts->ns", row, matrix, precision="highest")

    def zeros(self, num_last: int | None = None) -> list[Array]:
        """What may be added to each, or to so many of the last, and changes nothing."""
        last = self.matrices[-(num_last or len(self.matrices)) :]
        return [jnp.zeros(m.value.shape, m.value.dtype) for m in last]

    def logits(self, added: Sequence[Array], images: Array) -> Array:
        """What the function returns where this is added to the matrices."""
        return self._returned(self._run(added, images, {}))

    def blocks(
        self, added: Sequence[Array], ends: Sequence[Value]
    ) -> tuple[list[Array], Callable[[Array], Array]]:
        """What the blocks return, each for the others' results as they are.

        Args:
          added: to the matrices of these blocks; what a block returns depends on its
            own alone.
          ends: the values that the blocks return, of the last ones.

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

        def head(array: Array) -> Array:
            values = {**known, ends[-1]: array}
            for equation in self.program.equations:
                if any(v in behind for v in equation.inputs):
                    arguments = [values.get(v, v.constant) for v in equation.inputs]
                    values |= zip(equation.outputs, equation(*arguments), strict=True)
            return self._returned(values)

        return [results[v] for v in ends], head

    def ends(self, names: Sequence[str] | None) -> list[Value]:
        """The values that the blocks return, one for each attention matrix.

        Of attention in windows those of the last blocks, all with the same places and
        width: what follows the last can read them.

        Args:
          names: as ``ja.inside.names`` has them; by default the outermost named scopes
            that have one attention each.

        Raises:
          ValueError: where there are none, or others than one a block.
        """
        known = named_values(self.program)
        if names is None:
            names = self._block_names(known)
        expected = (
            f"the names of what the {len(self.matrices)} blocks with attention return, "
            "tokens (N, T, D), in order; ja.inside.names has them"
            if self.windows is None
            else f"the names of what the last of the {len(self.matrices)} blocks with "
            "attention return, in order, which have the same places and width; "
            "ja.inside.names has them"
        )
        missing = len(self.matrices) - len(names)
        if not names or "" in names or missing < 0 or (missing and not self.windows):
            raise fail("layers", expected, tuple(names))
        for name in names:
            check_choice("layers", name, known)
        found = [known[name] for name in names]
        place = {v: i for i, e in enumerate(self.program.equations) for v in e.outputs}
        places = [
            place[v]
            for m, end in zip(self.matrices[missing:], found)
            for v in (m.value, end)
        ]
        fits = all(self._can_be_read_as(v, found[-1]) for v in found)
        if not fits or places != sorted(places):
            raise fail("layers", expected, tuple(names))
        return found

    def _block_names(self, known: Mapping[str, Value]) -> list[str]:
        """The outermost scopes with one attention each, of blocks that can be read."""
        every = [list(scopes(m.scope)) for m in self.matrices]
        used = Counter(scope for found in every for scope in found)
        names = [next((s for s in f if used[s] == 1), "") for f in every]
        if self.windows is None or not names[-1]:
            return names
        last = known[names[-1]]
        others = [
            i
            for i, name in enumerate(names)
            if not name or not self._can_be_read_as(known[name], last)
        ]
        return names[others[-1] + 1 :] if others else names

    def _can_be_read_as(self, value: Value, last: Value) -> bool:
        """Whether what follows the last block can read a value in its place."""
        num_images = self.images.shape[0]
        if self.windows is None:
            tokens = (num_images, self.num_tokens)
            return len(value.shape) == 3 and value.shape[:2] == tokens
        if value.shape != last.shape or value.shape[0] != num_images:
            return False
        own, others = (self.positions.get(v) for v in (value, last))
        if own is None or others is None:
            return own is others
        return own.grid == others.grid and bool((own.ids == others.ids).all())

    def _returned(self, known: Mapping[Value, Array]) -> Array:
        results = [known.get(v, v.constant) for v in self.program.outputs]
        return jax.tree.unflatten(self.structure, results)

    def _run(
        self,
        added: Sequence[Array],
        images: Array,
        instead: Mapping[Value, Callable[[Value, Array], Array]],
    ) -> dict[Value, Array]:
        """All values where this is added to the matrices and those are others."""
        last = self.matrices[-len(added) :]
        more = {m.value: a for m, a in zip(last, added, strict=True)}
        known = dict(zip(self.program.inputs, [images], strict=True))
        for equation in self.program.equations:
            arguments = [known.get(v, v.constant) for v in equation.inputs]
            known |= zip(equation.outputs, equation(*arguments), strict=True)
            for value in equation.outputs:
                if value in more:
                    known[value] = known[value] + more[value]
                if value in instead:
                    known[value] = instead[value](value, known[value])
        return known
