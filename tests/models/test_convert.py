"""Folding, layouts, and the one error that lists everything."""

import jax
import ml_dtypes
import numpy as np
import pytest
from jax import lax

from jaxattr.models.convert import (
    ArrayRule,
    BatchNormRule,
    KeylessRule,
    LayerNormRule,
    LayerRule,
    convert,
)

EPSILON = 1e-3
RULES = [
    LayerRule("stem", "conv", norm="bn"),
    LayerRule("blocks/0/depthwise", "dw", norm="bn2", bias=True),
    LayerRule("blocks/0/project", "pw", bias=False),
    LayerRule("head", "fc"),
]


def skeleton():
    layer = lambda *shape: {
        "kernel": jax.ShapeDtypeStruct(shape, np.float32),
        "bias": jax.ShapeDtypeStruct(shape[-1:], np.float32),
    }
    return {
        "stem": layer(3, 2, 2, 4),
        "blocks": {0: {"depthwise": layer(3, 3, 4), "project": layer(4, 5)}},
        "head": layer(5, 6),
    }


def norm(rng, name, channels):
    draw = lambda: rng.uniform(0.5, 2, channels).astype(np.float32)
    parts = ("weight", "bias", "running_mean", "running_var")
    count = {f"{name}.num_batches_tracked": np.array(3)}
    return {f"{name}.{part}": draw() for part in parts} | count


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    return {
        "conv.weight": draw(4, 2, 3, 2),
        **norm(rng, "bn", 4),
        "dw.weight": draw(4, 1, 3, 3),
        "dw.bias": draw(4),
        **norm(rng, "bn2", 4),
        "pw.weight": draw(5, 4, 1, 1),
        "fc.weight": draw(6, 5),
        "fc.bias": draw(6),
    }


def load(tensors):
    return convert(tensors, RULES, skeleton(), epsilon=EPSILON, source="file.pth")


def unfolded(tensors, x, conv, bn, groups=1):
    """As torch computes it: convolution, then normalisation, on (N, C, H, W)."""
    y = lax.conv_general_dilated(
        x, tensors[f"{conv}.weight"], (1, 1), "VALID", feature_group_count=groups
    )
    get = lambda name: np.asarray(tensors[name])[:, None, None][None]
    if f"{conv}.bias" in tensors:
        y = y + get(f"{conv}.bias")
    y = (y - get(f"{bn}.running_mean")) / np.sqrt(get(f"{bn}.running_var") + EPSILON)
    return y * get(f"{bn}.weight") + get(f"{bn}.bias")


def test_folded_equals_unfolded(tensors):
    params = load(tensors)
    x = np.random.default_rng(1).normal(size=(2, 2, 7, 6)).astype(np.float32)
    y = unfolded(tensors, x, "conv", "bn")
    z = unfolded(tensors, np.asarray(y), "dw", "bn2", groups=4)

    def folded(x, layer, groups):
        kernel = layer["kernel"]
        kernel = kernel[:, :, None] if kernel.ndim == 3 else kernel
        names = ("NHWC", "HWIO", "NHWC")
        result = lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            "VALID",
            dimension_numbers=names,
            feature_group_count=groups,
        )
        return np.asarray(result) + layer["bias"].reshape(1, 1, 1, -1)

    got = folded(x.transpose(0, 2, 3, 1), params["stem"], 1)
    np.testing.assert_allclose(got.transpose(0, 3, 1, 2), y, rtol=1e-5, atol=1e-5)
    got = folded(got, params["blocks"][0]["depthwise"], 4)
    np.testing.assert_allclose(got.transpose(0, 3, 1, 2), z, rtol=1e-5, atol=1e-5)


def test_layouts_and_missing_biases(tensors):
    params = load(tensors)
    project, head = params["blocks"][0]["project"], params["head"]
    np.testing.assert_array_equal(project["kernel"], tensors["pw.weight"][:, :, 0, 0].T)
    np.testing.assert_array_equal(project["bias"], np.zeros(5))
    np.testing.assert_array_equal(head["kernel"], tensors["fc.weight"].T)
    np.testing.assert_array_equal(head["bias"], tensors["fc.bias"])


@pytest.mark.parametrize("shape", [(6,), (6, 1, 1)])
def test_what_multiplies_a_layer_is_folded_into_it(tensors, shape):
    scale = np.linspace(-1, 2, 6, dtype=np.float32)
    rules = [*RULES[:-1], LayerRule("head", "fc", scale="gamma")]
    named = tensors | {"gamma": scale.reshape(shape)}
    head = convert(named, rules, skeleton(), epsilon=EPSILON, source="file.pth")["head"]
    np.testing.assert_allclose(head["kernel"], tensors["fc.weight"].T * scale)
    np.testing.assert_allclose(head["bias"], tensors["fc.bias"] * scale)


def test_keys_without_a_bias():
    draw = np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)
    kernel, bias = draw[:6], draw[6]
    shapes = {"kernel": (6, 6), "bias": (6,)}
    empty = {k: jax.ShapeDtypeStruct(s, np.float32) for k, s in shapes.items()}
    files = {
        False: {"at.qkv.bias": bias},
        True: {"at.q_bias": bias[:2], "at.v_bias": bias[4:]},
    }
    for separate, biases in files.items():
        params = convert(
            {"at.qkv.weight": kernel, **biases},
            [KeylessRule("qkv", "at.qkv", separate)],
            {"qkv": dict(empty)},
            epsilon=EPSILON,
            source="file.pth",
        )["qkv"]
        np.testing.assert_array_equal(params["kernel"], kernel.T)
        np.testing.assert_array_equal(params["bias"], [*bias[:2], 0, 0, *bias[4:]])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_dtypes_become_float32(tensors, dtype):
    floats = {n: t.astype(dtype) for n, t in tensors.items() if t.dtype.kind == "f"}
    params = load(floats)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(
        params["head"]["bias"], floats["fc.bias"].astype(np.float32)
    )


def test_every_problem_in_one_error(tensors):
    del tensors["bn.running_mean"], tensors["fc.bias"]
    tensors["dw.weight"] = tensors["dw.weight"][:, 0]
    tensors["pw.weight"] = tensors["pw.weight"][:3]
    tensors["fc.weight"] = np.zeros((6, 5), np.int64)
    tensors["aux.weight"] = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"^weights: file\.pth does not fit") as error:
        load(tensors)
    assert set(str(error.value).split("\n  ")[1:]) == {
        "missing: bn.running_mean [4]",
        "missing: fc.bias [6]",
        "misshapen: dw.weight, expected [4, 1, 3, 3], got [4, 3, 3]",
        "misshapen: pw.weight, expected [5, 4] or [5, 4, 1, 1], got [3, 4, 1, 1]",
        "not floating point: fc.weight int64",
        "unexpected: aux.weight [3]",
    }


def test_norms_and_single_parameters():
    rng = np.random.default_rng(2)
    draw = lambda *shape: rng.uniform(0.5, 2, shape).astype(np.float32)
    tensors = {
        **norm(rng, "bn", 4),
        **{"ln.weight": draw(4), "ln.bias": draw(4), "tower.positions": draw(1, 5, 4)},
    }
    leaf = lambda *shape: jax.ShapeDtypeStruct(shape, np.float32)
    params = convert(
        tensors,
        [
            BatchNormRule("pre", "bn"),
            LayerNormRule("norm", "ln"),
            ArrayRule("tower/table", "tower.positions"),
        ],
        {
            "pre": {"scale": leaf(4), "bias": leaf(4)},
            "norm": {"scale": leaf(4), "bias": leaf(4)},
            "tower": {"table": leaf(1, 5, 4)},
        },
        epsilon=EPSILON,
        source="file.pth",
    )
    x = rng.normal(size=4)
    part = lambda name: tensors[f"bn.{name}"].astype(np.float64)
    expected = (x - part("running_mean")) / np.sqrt(part("running_var") + EPSILON)
    expected = expected * part("weight") + part("bias")
    got = x * params["pre"]["scale"] + params["pre"]["bias"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(params["norm"]["scale"], tensors["ln.weight"])
    np.testing.assert_array_equal(params["norm"]["bias"], tensors["ln.bias"])
    np.testing.assert_array_equal(params["tower"]["table"], tensors["tower.positions"])


def test_a_linear_layer_on_a_flattened_image_and_joint_names():
    """Torch flattens (C, h, w); a 2x2 window of 3 channels to 5 outputs."""
    rng = np.random.default_rng(3)
    leaf = lambda *shape: jax.ShapeDtypeStruct(shape, np.float32)
    skeleton = {"fc": {"kernel": leaf(2, 2, 3, 5), "bias": leaf(5)}}
    weight = rng.normal(size=(5, 12)).astype(np.float32)
    tensors = {"in_proj_weight": weight, "in_proj_bias": np.zeros(5, np.float32)}
    rules = [LayerRule("fc", "in_proj", joint="_")]
    params = convert(tensors, rules, skeleton, epsilon=EPSILON, source="file.pth")
    x = rng.normal(size=(2, 2, 3))
    got = np.einsum("hwi,hwio->o", x, params["fc"]["kernel"])
    np.testing.assert_allclose(got, weight @ x.transpose(2, 0, 1).ravel(), rtol=1e-5)


def test_what_inference_does_without(tensors):
    tensors["aux.weight"] = np.zeros(3, np.float32)
    options = {"epsilon": EPSILON, "source": "file.pth"}
    with pytest.raises(ValueError, match="1 problem\\)\n  unexpected: aux.weight"):
        convert(tensors, RULES, skeleton(), **options)
    convert(tensors, RULES, skeleton(), ignored_prefixes=("aux.",), **options)
