"""Convolutions and their derivatives of any order, against XLA's own.

Every way that a convolution may be computed on CPU is held to the same promises.
"""

import dataclasses
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxattr.models import convolution, winograd
from jaxattr.models.convolution import conv
from jaxattr.models.depthwise import depthwise_conv
from jaxattr.models.padding import explicit_padding
from jaxattr.models.trilinear import of_shapes


@dataclasses.dataclass(frozen=True)
class Case:
    """A convolution with small arguments that take one of the ways."""

    size: tuple[int, int]
    kernel: tuple[int, ...]
    stride: int = 1
    padding: object = "symmetric"

    @property
    def depthwise(self):
        return len(self.kernel) == 3

    def __call__(self, images, kernel):
        function = depthwise_conv if self.depthwise else conv
        return function(images, kernel, stride=self.stride, padding=self.padding)

    def reference(self, images, kernel):
        leading, channels = images.shape[:-3], images.shape[-1]
        images = images.reshape(-1, *images.shape[-3:])
        pads = explicit_padding(
            self.padding, images.shape[1:3], kernel.shape[:2], self.stride
        )
        result = lax.conv_general_dilated(
            images,
            kernel[:, :, None] if self.depthwise else kernel,
            (self.stride, self.stride),
            pads,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=channels if self.depthwise else 1,
        )
        return result.reshape(*leading, *result.shape[1:])

    def draw(self, *leading, dtype=jnp.float32):
        shape = (*leading, *self.size, self.kernel[2])
        images = jax.random.normal(jax.random.key(0), shape, dtype)
        kernel = jax.random.normal(jax.random.key(1), self.kernel, dtype)
        return images, kernel / math.sqrt(math.prod(self.kernel[:3]))


CASES = {
    "depthwise": Case((7, 8), (3, 3, 2), 2, "tf_same"),
    "depthwise by thirds": Case((8, 7), (2, 3, 2), 3, ((0, 3), (4, 1))),
    # Tiles over both edges, images and cotangents that are padded or cut.
    "tiles": Case((13, 16), (3, 3, 40, 64)),
    "tiles, nothing padded": Case((19, 18), (3, 3, 64, 40), padding="valid"),
    "tiles, cut": Case((19, 15), (3, 3, 40, 64), padding=((-2, 0), (3, 4))),
    "patches": Case((9, 12), (3, 3, 3, 5), 2, "tf_same"),
    "patches, nothing padded": Case((9, 12), (3, 3, 3, 5), 2, "valid"),
    "patches by thirds": Case((13, 15), (2, 5, 3, 4), 3, ((0, 3), (4, 1))),
    "patches, a tap in four": Case((8, 9), (1, 1, 2, 3), 4, "valid"),
    "phases": Case((14, 15), (7, 7, 3, 5), 2),
    "phases, cut": Case((14, 15), (4, 7, 3, 5), 2, ((-3, 0), (2, -2))),
    "plain": Case((6, 7), (3, 1, 5, 4), 2, "tf_same"),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
each_way = pytest.mark.parametrize(
    "case", [CASES[n] for n in ("depthwise", "tiles", "patches", "phases")]
)


@pytest.mark.parametrize("name", CASES)
def test_the_cases_take_the_ways_that_they_are_named_after(name, monkeypatch):
    """Told by whose result it is that comes back."""
    case = CASES[name]
    expected = {
        "depthwise": ("depthwise", "depthwise"),
        "tiles": ("tiles", "tiles"),
        "patches": ("patches", "phases"),
        "phases": ("plain", "phases"),
        "plain": ("plain", "plain"),
    }[name.partition(",")[0].partition(" ")[0]]
    if case.depthwise:
        return
    for module, function, way in (
        (winograd, "convolve", "tiles"),
        (winograd, "to_images", "tiles"),
        (convolution, "_convolve_patches", "patches"),
        (convolution, "_to_shallow_images", "phases"),
    ):
        monkeypatch.setattr(module, function, lambda *_, way=way: way)
    plain = convolution._xla._replace(
        convolve=lambda *_: "plain", to_images=lambda *_: "plain"
    )
    monkeypatch.setattr(convolution, "_xla", plain)
    images, kernel = case.draw(2)
    geometry = of_shapes(images, kernel, case.stride, case.padding)
    output = jnp.zeros((2, *geometry.output, kernel.shape[-1]))
    got = (
        convolution._convolve(images, kernel, geometry),
        convolution._to_images(kernel, output, geometry),
    )
    assert got == expected


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


@each_case
def test_float32_is_as_exact_as_the_direct_sum(case):
    images, kernel = case.draw(2)
    with jax.enable_x64(True):
        wide = (np.asarray(a, np.float64) for a in (images, kernel))
        exact = np.asarray(case.reference(*wide))
    got = case(images, kernel)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, exact, rtol=0, atol=1e-6 * np.abs(exact).max())


@each_way
@pytest.mark.parametrize("in_axes", [(0, None), (None, 0), (3, 1)])
def test_vmap(case, in_axes):
    axis = 3
    batch = [
        np.asarray(a) if d is None else np.stack([a * (i + 1) for i in range(axis)], d)
        for a, d in zip(case.draw(2), in_axes, strict=True)
    ]
    both = lambda x, k: (
        case(x, k),
        jax.grad(lambda x, k: jnp.sum(case(x, k) ** 2), (0, 1))(x, k),
    )
    got = jax.jit(jax.vmap(both, in_axes))(*batch)
    one = jax.jit(both)
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


@each_way
def test_leading_dimensions(case):
    for leading in ((2, 3), (1, 2, 1), ()):
        images, kernel = case.draw(*leading)
        loss = lambda f: lambda x: jnp.sum(jnp.sin(f(x, kernel)))
        got, expected = (
            (f(images, kernel), jax.grad(loss(f))(images))
            for f in (case, case.reference)
        )
        chex.assert_trees_all_close(got, expected, atol=1e-5)


@each_way
def test_half_precision(case):
    images, kernel = case.draw(2, dtype=jnp.bfloat16)
    got = case(images, kernel)
    assert got.dtype == jnp.bfloat16
    wide = case(images.astype(jnp.float32), kernel.astype(jnp.float32))
    # One rounding, at the end.
    chex.assert_trees_all_close(got.astype(jnp.float32), wide, rtol=2**-7, atol=1e-3)
    loss = lambda x, k: jnp.sum(case(x, k).astype(jnp.float32) ** 2)
    for gradient in jax.grad(loss, (0, 1))(images, kernel):
        assert gradient.dtype == jnp.bfloat16


@each_way
@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_sharded(case, axis_type):
    images, kernel = case.draw(4)
    loss = lambda x, k: jnp.sum(jnp.sin(case(x, k)))
    expected = jax.jit(jax.grad(loss, (0, 1)))(images, kernel)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        sharded = jax.device_put(images, NamedSharding(mesh, P("data")))
        whole = jax.device_put(kernel, NamedSharding(mesh, P()))
        got = jax.jit(jax.grad(loss, (0, 1)))(sharded, whole)
    assert got[0].sharding.spec[0] == "data"
    got, expected = jax.device_get((got, expected))
    chex.assert_trees_all_close(got, expected, atol=1e-3)


@each_way
def test_inside_shard_map(case):
    images, kernel = case.draw(4)
    loss = lambda x, k: jnp.sum(jnp.sin(case(x, k)))
    expected = jax.jit(jax.grad(loss, (0, 1)))(images, kernel)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    spread = jax.shard_map(
        jax.grad(loss, (0, 1)),
        mesh=mesh,
        in_specs=(P("data"), P()),
        out_specs=(P("data"), P()),
    )
    got, expected = jax.device_get((jax.jit(spread)(images, kernel), expected))
    chex.assert_trees_all_close(got, expected, atol=1e-3)


@pytest.mark.parametrize("name", ["depthwise", "tiles", "phases"])
def test_the_platform_is_chosen_when_lowering(name):
    case = CASES[name]
    program = jax.jit(jax.grad(lambda x, k: jnp.sum(case(x, k) ** 2)))
    traced = program.trace(*case.draw(2))
    on_cpu, on_gpu, on_tpu = (
        traced.lower(lowering_platforms=(p,)).as_text().count("stablehlo.convolution")
        for p in ("cpu", "cuda", "tpu")
    )
    expected = {"depthwise": (0, 0, 2), "tiles": (0, 2, 2), "phases": (2, 2, 2)}
    assert (on_cpu, on_gpu, on_tpu) == expected[name]


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
    with pytest.raises(ValueError, match=r"kernel: expected float32\[h, w, 1, O\]"):
        conv(images, kernel, groups=5)
