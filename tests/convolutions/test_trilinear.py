"""Convolutions and their derivatives of any order, against XLA's own.

Every way that a convolution may be computed on CPU is held to the same promises.
"""

import contextlib
import dataclasses
import functools
import math

import chex
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from quick import quick

from jaxattr.convolutions import convolution, winograd
from jaxattr.convolutions.convolution import conv
from jaxattr.convolutions.depthwise import depthwise_conv
from jaxattr.convolutions.padding import explicit_padding, pad
from jaxattr.convolutions.trilinear import of_shapes


@dataclasses.dataclass(frozen=True)
class Case:
    """A convolution with small arguments that take one of the ways."""

    size: tuple[int, int]
    kernel: tuple[int, ...]
    stride: int = 1
    padding: object = "symmetric"
    ways: tuple[str, str] = ("shifted", "shifted")
    """How the value and the input gradient are computed on CPU."""
    groups: int = 1

    @property
    def depthwise(self):
        return len(self.kernel) == 3

    def __call__(self, images, kernel):
        options = {"stride": self.stride, "padding": self.padding}
        if self.depthwise:
            return depthwise_conv(images, kernel, **options)
        return conv(images, kernel, groups=self.groups, **options)

    def reference(self, images, kernel):
        leading, channels = images.shape[:-3], images.shape[-1]
        size, window = images.shape[-3:-1], kernel.shape[:2]
        pads = explicit_padding(self.padding, size, window, self.stride)
        # XLA's own crops may read outside, so they are kept out of its convolution.
        images = lax.optimization_barrier(pad(images, pads))
        result = lax.conv_general_dilated(
            images.reshape(math.prod(leading), *images.shape[-3:]),
            kernel[:, :, None] if self.depthwise else kernel,
            (self.stride, self.stride),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=channels if self.depthwise else self.groups,
        )
        return result.reshape(*leading, *result.shape[1:])

    def draw(self, *leading, dtype=jnp.float32):
        shape = (*leading, *self.size, self.kernel[2] * self.groups)
        images = jax.random.normal(jax.random.key(0), shape, dtype)
        kernel = jax.random.normal(jax.random.key(1), self.kernel, dtype)
        return images, kernel / math.sqrt(math.prod(self.kernel[:3]))


TILES, PATCHES = ("tiles", "tiles"), ("patches", "phases")
PHASES, PLAIN = ("plain", "phases"), ("plain", "plain")
WIDER, LARGER = ("wider", "plain"), ("larger", "larger")
CASES = {
    "depthwise": Case((7, 8), (3, 3, 2), 2, "tf_same"),
    "depthwise by thirds": Case((8, 7), (2, 3, 2), 3, ((0, 3), (4, 1))),
    # Tiles over both edges, images and cotangents that are padded or cut.
    "tiles": Case((13, 16), (3, 3, 40, 64), ways=TILES),
    "tiles, valid": Case((19, 18), (3, 3, 64, 40), padding="valid", ways=TILES),
    "tiles, cut": Case((19, 15), (3, 3, 40, 64), 1, ((-2, 0), (3, 4)), TILES),
    "patches": Case((9, 12), (3, 3, 3, 5), 2, "tf_same", PATCHES),
    "patches, valid": Case((9, 12), (3, 3, 3, 5), 2, "valid", PATCHES),
    "patches by thirds": Case((13, 15), (2, 5, 3, 4), 3, ((0, 3), (4, 1)), PATCHES),
    "patches, a tap in four": Case((8, 9), (1, 1, 2, 3), 4, "valid", PATCHES),
    "patches, wide margins": Case((3, 10), (1, 3, 2, 3), 3, ((4, -1), (0, 5)), PATCHES),
    "phases": Case((14, 15), (7, 7, 3, 5), 2, ways=PHASES),
    "phases, cut": Case((14, 15), (4, 7, 3, 5), 2, ((-3, 0), (2, -2)), PHASES),
    "plain": Case((6, 7), (3, 1, 5, 4), 2, "tf_same", PLAIN),
    "larger": Case((7, 8), (3, 4, 5, 4), padding=((1, 1), (1, 2)), ways=LARGER),
    "larger, one axis": Case((5, 8), (1, 3, 5, 4), padding="tf_same", ways=LARGER),
    "larger, valid": Case((9, 8), (3, 2, 5, 4), 1, "valid", ("larger", "plain")),
    "larger, cut": Case(
        (9, 8), (4, 2, 5, 4), 1, ((-2, 2), (1, -1)), ("larger", "plain")
    ),
    "larger already": Case(
        (7, 8), (3, 2, 5, 4), 1, ((2, 1), (1, 1)), ("plain", "larger")
    ),
    "wider, strided": Case((9, 8), (3, 3, 5, 4), 2, "valid", WIDER),
    "wider, strided and even": Case((9, 9), (3, 3, 5, 4), 2, "valid", WIDER),
    "plain, cut": Case((6, 9), (3, 1, 5, 4), 2, ((-2, 1), (1, -2)), PLAIN),
    # Groups merged by threes; groups that are wide enough alone.
    "groups": Case((6, 7), (3, 3, 9, 12), 2, ways=PLAIN, groups=6),
    "groups, wide": Case((5, 4), (3, 1, 33, 4), 1, "valid", PLAIN, groups=2),
}
BASIC = ("depthwise", "tiles", "patches", "phases")
# Tiles are large, and compile the longest: their first derivatives are among the others'.
FEW = ("patches", "phases", "larger", "larger, valid", "wider, strided", "groups")
each_case = pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=n, marks=[] if n in FEW else [pytest.mark.slow])
        for n, c in CASES.items()
    ],
)
each_way = pytest.mark.parametrize("case", [CASES[n] for n in BASIC], ids=BASIC)
# What is the same shared code whatever the way.
one_way = pytest.mark.parametrize(
    "case",
    [
        pytest.param(CASES[n], id=n, marks=[] if n == "tiles" else [pytest.mark.slow])
        for n in BASIC
    ],
)


@functools.cache
def compiled_gradient(case):
    """Of a curved function, in images and kernel; compiled once for several tests."""
    return jax.jit(jax.grad(lambda x, k: jnp.sum(jnp.sin(case(x, k))), (0, 1)))


@functools.cache
def compiled_value_and_gradient(case):
    return jax.jit(value_and_gradient(case))


def value_and_gradient(case):
    return lambda x, k: (
        case(x, k),
        jax.grad(lambda x, k: jnp.sum(case(x, k) ** 2), (0, 1))(x, k),
    )


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            c,
            id="-".join(c.ways) + f" of {n}",
            marks=[] if n in ("plain", *BASIC, *FEW) else [pytest.mark.slow],
        )
        for n, c in CASES.items()
        if not c.depthwise and c.groups == 1
    ],
)
def test_the_cases_take_their_ways(case, monkeypatch):
    """Told by whose result it is that comes back."""
    for module, function, way in (
        (winograd, "convolve", "tiles"),
        (winograd, "to_images", "tiles"),
        (convolution, "_convolve_patches", "patches"),
        (convolution, "_to_shallow_images", "phases"),
        (convolution, "_convolve_larger", "larger"),
        (convolution, "_convolve_one_wider", "wider"),
    ):
        monkeypatch.setattr(module, function, lambda *_, way=way: way)
    plain = lambda *_: "plain"
    xla = convolution._xla._replace(convolve=plain, to_images=plain)
    monkeypatch.setattr(convolution, "_xla", xla)
    images, kernel = case.draw(2)
    geometry = of_shapes(images, kernel, case.stride, case.padding)
    output = jnp.zeros((2, *geometry.output, kernel.shape[-1]))
    value = convolution._convolve(images, kernel, geometry)
    assert (value, convolution._to_images(kernel, output, geometry)) == case.ways


@pytest.mark.parametrize(
    ("images", "kernel", "dtype", "expected"),
    [
        ((8, 56, 56, 64), (3, 3, 64, 64), jnp.float32, True),
        ((8, 14, 14, 256), (3, 3, 256, 256), jnp.float64, True),
        ((8, 56, 56, 256), (3, 3, 256, 256), jnp.float32, True),  # beyond the caches
        ((8, 112, 112, 64), (3, 3, 64, 128), jnp.float32, False),
        ((8, 55, 55, 16), (3, 3, 16, 64), jnp.float32, False),  # few channels
        ((1, 14, 14, 256), (3, 3, 256, 256), jnp.float32, False),  # few tiles
        ((8, 56, 56, 64), (3, 3, 64, 64), jnp.bfloat16, False),
        ((8, 56, 56, 64), (5, 5, 64, 64), jnp.float32, False),
    ],
)
def test_when_tiles_pay(images, kernel, dtype, expected):
    with jax.enable_x64(True):
        shapes = [jax.ShapeDtypeStruct(s, dtype) for s in (images, kernel)]
        geometry = of_shapes(*shapes, 1, "symmetric")
        assert winograd.pays(*shapes, geometry, geometry.output) == expected


@each_case
def test_values_and_derivatives(case):
    """In float64, so that fourth digits do not hide a wrong term."""

    def derivatives(convolve, images, kernel):
        # Curved in both arguments, so that every mixed second derivative is there.
        loss = lambda x, k: jnp.sum(jnp.sin(convolve(x, k)))
        gradient = jax.grad(loss, (0, 1))
        slope = lambda x, k: sum(jnp.sum(jnp.cos(3 * g)) for g in gradient(x, k))
        tangents = (jnp.cos(images), jnp.sin(kernel))
        along = lambda x, k: jax.jvp(loss, (x, k), tangents)[1]
        return {
            "value": convolve(images, kernel),
            "forward": along(images, kernel),
            "reverse": gradient(images, kernel),
            "forward over reverse": jax.jvp(gradient, (images, kernel), tangents)[1],
            "reverse over reverse": jax.grad(slope, (0, 1))(images, kernel),
            "reverse over forward": jax.grad(along, (0, 1))(images, kernel),
        }

    functions = (case, case.reference)
    both = jax.jit(lambda x, k: [derivatives(f, x, k) for f in functions])
    with jax.enable_x64(True):
        got, expected = both(*case.draw(2, dtype=jnp.float64))
        assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(got))
        chex.assert_trees_all_close(got, expected, atol=1e-9, rtol=1e-9)


@each_way
def test_float32_is_as_exact_as_the_direct_sum(case):
    images, kernel = case.draw(2)

    def passes(convolve, images, kernel):
        value, pull = jax.vjp(convolve, images, kernel)
        return value, *pull(jnp.cos(jnp.arange(value.size)).reshape(value.shape))

    with jax.enable_x64(True):
        wide = (np.asarray(a, np.float64) for a in (images, kernel))
        exact = jax.jit(functools.partial(passes, case.reference))(*wide)
        exact = jax.device_get(exact)
    narrow = jax.jit(functools.partial(passes, case))(images, kernel)
    for got, expected in zip(narrow, exact, strict=True):
        assert got.dtype == jnp.float32
        atol = 2e-6 * np.abs(expected).max()
        np.testing.assert_allclose(got, expected, rtol=0, atol=atol)


@one_way
@pytest.mark.parametrize("in_axes", quick([(0, None), (None, 0), (3, 1)], (3, 1)))
def test_vmap(case, in_axes):
    axis = 3
    batch = [
        np.asarray(a) if d is None else np.stack([a * (i + 1) for i in range(axis)], d)
        for a, d in zip(case.draw(2), in_axes, strict=True)
    ]
    got = jax.jit(jax.vmap(value_and_gradient(case), in_axes))(*batch)
    one = compiled_value_and_gradient(case)
    for i in range(axis):
        arguments = [
            a if d is None else np.take(a, i, d)
            for a, d in zip(batch, in_axes, strict=True)
        ]
        expected = one(*arguments)
        scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
        chex.assert_trees_all_close(
            jax.tree.map(lambda leaf: leaf[i], got), expected, atol=1e-5 * scale
        )


@one_way
@pytest.mark.parametrize(
    "leading", [(2, 3), (0,), pytest.param((), marks=pytest.mark.slow)]
)
def test_leading_dimensions(case, leading):
    images, kernel = case.draw(*leading)
    loss = lambda f: lambda x, k: jnp.sum(jnp.sin(f(x, k)))
    got, expected = (
        jax.jit(lambda x, k, f=f: (f(x, k), jax.grad(loss(f), (0, 1))(x, k)))(
            images, kernel
        )
        for f in (case, case.reference)
    )
    chex.assert_trees_all_close(got, expected, atol=1e-4)


def test_groups():
    images, kernel = Case((7, 8), (3, 3, 2, 6), 2).draw(2)
    images = jnp.concatenate([images, images[::-1]], -1)
    got = conv(images, kernel, stride=2, groups=2)
    halves = [
        conv(images[..., 2 * i : 2 * i + 2], kernel[..., 3 * i : 3 * i + 3], stride=2)
        for i in range(2)
    ]
    chex.assert_trees_all_close(got, jnp.concatenate(halves, -1), atol=1e-6)


@pytest.mark.slow
@each_way
@pytest.mark.parametrize("of", ["images", "kernel", "cotangent"])
def test_vmap_of_a_gradient_where_one_argument_has_an_axis(case, of):
    images, kernel = case.draw(1)
    cotangent = jax.random.normal(jax.random.key(2), case(images, kernel).shape)
    given = {"images": images, "kernel": kernel, "cotangent": cotangent}

    def gradients(value):
        a = given | {of: value}
        return jax.vjp(case, a["images"], a["kernel"])[1](a["cotangent"])

    values = jnp.stack([given[of] * (i + 1) for i in range(3)])
    expected = [gradients(value) for value in values]
    got = jax.jit(jax.vmap(gradients))(values)
    for i, one in enumerate(expected):
        each = jax.tree.map(lambda leaf, i=i: leaf[i], got)
        chex.assert_trees_all_close(each, one, atol=1e-4, rtol=1e-5)


@one_way
@pytest.mark.parametrize(
    "dtype", [jnp.bfloat16, pytest.param(jnp.float16, marks=pytest.mark.slow)]
)
def test_half_precision_is_accumulated_in_float32(case, dtype):
    """Value and gradients are those in float32, rounded once."""
    images, kernel = case.draw(2, dtype=dtype)
    cotangent = jax.random.normal(jax.random.key(2), case(images, kernel).shape, dtype)
    value, pull = jax.vjp(case, images, kernel)
    narrow = (value, *pull(cotangent))
    value, pull = jax.vjp(case, *(a.astype(jnp.float32) for a in (images, kernel)))
    wide = (value, *pull(cotangent.astype(jnp.float32)))
    for got, expected in zip(narrow, wide, strict=True):
        assert got.dtype == dtype
        chex.assert_trees_all_close(
            got.astype(jnp.float32),
            expected,
            rtol=float(jnp.finfo(dtype).eps),
            atol=1e-5 * float(jnp.abs(expected).max()),
        )


@one_way
@pytest.mark.parametrize("entered", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_sharded(case, axis_type, entered):
    images, kernel = case.draw(4)
    expected = compiled_gradient(case)(images, kernel)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    sharded = jax.device_put(images, NamedSharding(mesh, P("data")))
    whole = jax.device_put(kernel, NamedSharding(mesh, P()))
    with jax.set_mesh(mesh) if entered else contextlib.nullcontext():
        got = compiled_gradient(case)(sharded, whole)
    assert got[0].sharding.spec[0] == "data"
    got, expected = jax.device_get((got, expected))
    chex.assert_trees_all_close(got, expected, atol=1e-3)


@pytest.mark.slow
@each_way
def test_sharded_along_rows(case):
    """Whatever is fast on whole images is left to XLA on pieces of them."""
    images, kernel = dataclasses.replace(case, size=(12, 16)).draw(2)
    loss = lambda x, k: jnp.sum(jnp.sin(case(x, k)))
    expected = jax.jit(jax.grad(loss))(images, kernel)
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(AxisType.Explicit,))
    pieces = jax.device_put(images, NamedSharding(mesh, P(None, "rows")))
    got = jax.jit(jax.grad(loss))(pieces, kernel)
    assert got.sharding.spec[1] == "rows"
    got, expected = jax.device_get((got, expected))
    chex.assert_trees_all_close(got, expected, atol=1e-4)


@pytest.mark.slow
@each_way
@pytest.mark.parametrize("in_axes", [(0, None), (0, 0)])
def test_vmap_of_shard_map_over_a_mesh_axis(case, in_axes):
    images, kernel = case.draw(2, 2)
    if in_axes[1] == 0:
        kernel = jnp.stack([kernel, 2 * kernel])
    loss = lambda x, k: jnp.sum(jnp.sin(case(x, k)))
    gradient = jax.grad(loss, (0, 1))
    expected = jax.jit(jax.vmap(gradient, in_axes))(images, kernel)
    mesh = jax.make_mesh((2, 2), ("model", "data"), axis_types=(AxisType.Auto,) * 2)
    spread = jax.shard_map(
        gradient,
        mesh=mesh,
        in_specs=(P("data"), P()),
        out_specs=(P("data"), P()),
    )
    mapped = jax.jit(jax.vmap(spread, in_axes, spmd_axis_name="model"))
    got, expected = jax.device_get((mapped(images, kernel), expected))
    chex.assert_trees_all_close(got, expected, atol=1e-3)


@pytest.mark.slow
@each_way
def test_exported_for_any_batch(case):
    images, kernel = case.draw(2)
    (batch,) = jax.export.symbolic_shape("b")
    shape = jax.ShapeDtypeStruct((batch, *images.shape[1:]), images.dtype)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(case(x, kernel)))))
    exported = jax.export.export(gradient)(shape)
    got, expected = exported.call(images), gradient(images)
    chex.assert_trees_all_close(got, expected, atol=1e-4)


@one_way
def test_inside_shard_map(case):
    images, kernel = case.draw(4)
    expected = compiled_gradient(case)(images, kernel)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    spread = jax.shard_map(
        compiled_gradient(case).__wrapped__,
        mesh=mesh,
        in_specs=(P("data"), P()),
        out_specs=(P("data"), P()),
    )
    got, expected = jax.device_get((jax.jit(spread)(images, kernel), expected))
    chex.assert_trees_all_close(got, expected, atol=1e-3)


@each_way
def test_the_platform_is_chosen_when_lowering(case):
    """XLA's own input gradient is a convolution of an image dilated by the stride."""
    program = jax.jit(jax.grad(lambda x, k: jnp.sum(case(x, k) ** 2)))
    traced = program.trace(*case.draw(2))
    texts = [
        traced.lower(lowering_platforms=(p,)).as_text() for p in ("cpu", "cuda", "tpu")
    ]
    counts = [text.count("stablehlo.convolution") for text in texts]
    dilated = [f"lhs_dilate = [{case.stride}, {case.stride}]" in text for text in texts]
    assert (
        counts
        == {
            "shifted": [0, 0, 2],
            "tiles": [0, 2, 2],
            "patches": [1, 2, 2],
            "plain": [2, 2, 2],
        }[case.ways[0]]
    )
    if case.stride > 1:
        assert dilated == [False, not case.depthwise, True]


def test_errors():
    images, kernel = CASES["depthwise"].draw(1)
    with pytest.raises(ValueError, match=r"kernel: expected \(h, w, C\)"):
        depthwise_conv(images, kernel[None])
    with pytest.raises(ValueError, match=r"kernel: expected float32\[h, w, 2\]"):
        depthwise_conv(images, kernel[..., :1])
    with pytest.raises(ValueError, match="kernel: expected float32"):
        depthwise_conv(images, kernel.astype(jnp.bfloat16))
    with pytest.raises(ValueError, match="at least"):
        depthwise_conv(images[:, :2], kernel, padding="valid")
    with pytest.raises(ValueError, match=r"unknown 'same'.*tf_same"):
        depthwise_conv(images, kernel, padding="same")
    with pytest.raises(ValueError, match="padding: expected"):
        depthwise_conv(images, kernel, padding=3)
    images, kernel = CASES["plain"].draw(1)
    with pytest.raises(ValueError, match=r"kernel: expected \(h, w, I, O\)"):
        conv(images, kernel[0])
    with pytest.raises(ValueError, match=r"kernel: expected float32\[h, w, 5, O\]"):
        conv(images, kernel[:, :, 1:])
    with pytest.raises(ValueError, match=r"images: expected floating point, got int32"):
        conv(images.astype(jnp.int32), kernel.astype(jnp.int32))
    with pytest.raises(ValueError, match=r"kernel: expected float32\[h, w, 1, O\]"):
        conv(images, kernel, groups=5)
