"""Depthwise convolution against XLA's grouped convolution, at every order."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxattr.models import depthwise
from jaxattr.models.depthwise import depthwise_conv
from jaxattr.models.padding import explicit_padding


def reference(images, kernel, stride, padding):
    size, window = images.shape[1:3], kernel.shape[:2]
    return lax.conv_general_dilated(
        images,
        kernel[:, :, None, :],
        (stride, stride),
        explicit_padding(padding, size, window, stride),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
    )


def draw(shape, window, dtype=jnp.float32):
    images = jax.random.normal(jax.random.key(0), shape, dtype)
    return images, jax.random.normal(jax.random.key(1), (*window, shape[-1]), dtype)


CASES = [
    ((7, 8), (3, 3), 2, "tf_same"),
    ((8, 9), (5, 5), 1, "tf_same"),
    ((8, 9), (5, 5), 2, "tf_same"),
    ((7, 6), (5, 5), 2, "symmetric"),
    ((9, 8), (2, 3), 3, ((0, 3), (4, 1))),
    ((7, 7), (1, 1), 2, "tf_same"),
    ((9, 9), (3, 3), 1, ((-1, 0), (2, -2))),
]
each_case = pytest.mark.parametrize(("size", "window", "stride", "padding"), CASES)


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding"),
    [((7, 8), (3, 3), 2, "tf_same"), ((8, 7), (2, 3), 3, ((0, 3), (4, 1)))],
)
def test_values_and_derivatives(size, window, stride, padding):
    """In float64, so that fourth digits do not hide a wrong term."""

    def derivatives(convolve, images, kernel):
        # Curved in both arguments, so that every mixed second derivative is there.
        loss = lambda x, k: jnp.sum(jnp.sin(convolve(x, k, stride, padding)))
        gradient = jax.grad(loss, (0, 1))
        slope = lambda x, k: sum(jnp.sum(jnp.cos(3 * g)) for g in gradient(x, k))
        tangents = (jnp.cos(images), jnp.sin(kernel))
        along = lambda x, k: jax.jvp(loss, (x, k), tangents)[1]
        return {
            "value": convolve(images, kernel, stride, padding),
            "forward": along(images, kernel),
            "reverse": gradient(images, kernel),
            "forward over reverse": jax.jvp(gradient, (images, kernel), tangents)[1],
            "reverse over reverse": jax.grad(slope, (0, 1))(images, kernel),
            "reverse over forward": jax.grad(along, (0, 1))(images, kernel),
        }

    ours = lambda x, k, s, p: depthwise_conv(x, k, stride=s, padding=p)
    both = jax.jit(lambda x, k: [derivatives(f, x, k) for f in (ours, reference)])
    with jax.enable_x64(True):
        got, expected = both(*draw((1, *size, 2), window, jnp.float64))
        chex.assert_trees_all_close(got, expected, atol=1e-11, rtol=1e-11)


@each_case
def test_both_implementations_agree(size, window, stride, padding):
    """Also where neither runs by itself: on CPU the sums, elsewhere XLA's."""
    images, kernel = draw((2, *size, 3), window)
    pads = explicit_padding(padding, size, window, stride)
    shape = jax.eval_shape(lambda: reference(images, kernel, stride, padding)).shape
    output = jax.random.normal(jax.random.key(2), shape)
    geometry = depthwise._Geometry(stride, pads, size, window, shape[1:3])

    @jax.jit
    def both(images, kernel, output):
        return [
            [
                f(images, kernel, geometry),
                g(kernel, output, geometry),
                h(images, output, geometry),
            ]
            for f, g, h in (
                (
                    depthwise._shifted_convolve,
                    depthwise._shifted_to_images,
                    depthwise._shifted_to_kernel,
                ),
                (
                    depthwise._grouped_convolve,
                    depthwise._grouped_to_images,
                    depthwise._grouped_to_kernel,
                ),
            )
        ]

    chex.assert_trees_all_close(*both(images, kernel, output), atol=1e-4)


def test_the_platform_is_chosen_when_lowering():
    images, kernel = draw((1, 8, 8, 2), (3, 3))
    program = jax.jit(jax.grad(lambda x, k: jnp.sum(depthwise_conv(x, k) ** 2)))
    traced = program.trace(images, kernel)
    on_cpu, on_gpu, on_tpu = (
        traced.lower(lowering_platforms=(p,)).as_text() for p in ("cpu", "cuda", "tpu")
    )
    assert "stablehlo.convolution" not in on_cpu
    assert "stablehlo.convolution" not in on_gpu
    assert "stablehlo.convolution" in on_tpu


@pytest.mark.parametrize("in_axes", [(0, None), (None, 0), (3, 1)])
def test_vmap(in_axes):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 6, 7, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3)).astype(np.float32)
    axis = 4
    batch = [
        a if d is None else np.stack([a * (i + 1) for i in range(axis)], d)
        for a, d in zip((images, kernel), in_axes, strict=True)
    ]
    both = lambda x, k: (
        depthwise_conv(x, k, stride=2),
        jax.grad(lambda x, k: jnp.sum(depthwise_conv(x, k, stride=2) ** 2), (0, 1))(
            x, k
        ),
    )
    got = jax.jit(jax.vmap(both, in_axes))(*batch)
    one = jax.jit(both)
    for i in range(axis):
        arguments = [
            a if d is None else np.take(a, i, d)
            for a, d in zip(batch, in_axes, strict=True)
        ]
        chex.assert_trees_all_close(
            jax.tree.map(lambda leaf: leaf[i], got), one(*arguments), rtol=1e-4
        )


def test_leading_dimensions():
    images, kernel = draw((6, 5, 5, 2), (3, 3))
    expected = reference(images, kernel, 1, "tf_same")
    for shape in ((2, 3), (6,), (1, 2, 3)):
        got = depthwise_conv(images.reshape(*shape, 5, 5, 2), kernel)
        chex.assert_trees_all_close(got.reshape(expected.shape), expected, atol=1e-5)
    chex.assert_trees_all_close(
        depthwise_conv(images[0], kernel), expected[0], atol=1e-5
    )


def test_half_precision_accumulates_in_float32():
    images, kernel = draw((1, 9, 9, 4), (3, 3), jnp.bfloat16)
    got = depthwise_conv(images, kernel)
    assert got.dtype == jnp.bfloat16
    wide = depthwise_conv(images.astype(jnp.float32), kernel.astype(jnp.float32))
    chex.assert_trees_all_equal(got, wide.astype(jnp.bfloat16))
    loss = lambda x, k: jnp.sum(depthwise_conv(x, k).astype(jnp.float32) ** 2)
    for gradient in jax.grad(loss, (0, 1))(images, kernel):
        assert gradient.dtype == jnp.bfloat16


def test_float64():
    with jax.enable_x64(True):
        images, kernel = draw((1, 6, 6, 2), (3, 3), jnp.float64)
        got = depthwise_conv(images, kernel)
        assert got.dtype == jnp.float64
        expected = reference(images, kernel, 1, "tf_same")
        chex.assert_trees_all_close(got, expected, atol=1e-13)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_sharded(axis_type):
    images, kernel = draw((4, 6, 6, 2), (3, 3))
    loss = lambda x, k: jnp.sum(jnp.sin(depthwise_conv(x, k, stride=2)))
    expected = jax.jit(jax.grad(loss, (0, 1)))(images, kernel)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        sharded = jax.device_put(images, NamedSharding(mesh, P("data")))
        whole = jax.device_put(kernel, NamedSharding(mesh, P()))
        got = jax.jit(jax.grad(loss, (0, 1)))(sharded, whole)
    assert got[0].sharding.spec[0] == "data"
    chex.assert_trees_all_close(
        jax.device_get(got), jax.device_get(expected), atol=1e-5
    )


def test_inside_shard_map():
    images, kernel = draw((4, 6, 6, 2), (3, 3))
    loss = lambda x, k: jnp.sum(jnp.sin(depthwise_conv(x, k)))
    expected = jax.jit(jax.grad(loss, (0, 1)))(images, kernel)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    spread = jax.shard_map(
        jax.grad(loss, (0, 1)),
        mesh=mesh,
        in_specs=(P("data"), P()),
        out_specs=(P("data"), P()),
    )
    got = jax.jit(spread)(images, kernel)
    chex.assert_trees_all_close(
        jax.device_get(got), jax.device_get(expected), atol=1e-5
    )


def test_errors():
    images, kernel = draw((1, 6, 6, 2), (3, 3))
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
