"""The same relevances as zennit, captum and LXT; ``goldens/README.md`` says where not."""

import functools
import itertools

import goldens
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax import lax
from quick import quick
from rules import peer_nets

import jaxattr as ja
from jaxattr import rules
from jaxattr.attributions.deeplift import deeplift
from jaxattr.attributions.excitation_backprop import excitation_backprop
from jaxattr.attributions.lrp import lrp
from jaxattr.attributions.rectified import deconvnet, guided_backprop
from jaxattr.interpreter.evaluation import Evaluation
from jaxattr.interpreter.grouping import graph
from jaxattr.interpreter.program import trace
from jaxattr.interpreter.pullback import pull
from jaxattr.rules import Composite

FLOAT32 = 1e-4
"""Of the largest value, as far as float32 may be from another float32."""
FLOAT64 = 2e-7
"""The same where both compute in float64, and the file is in float32."""

RULES = {
    "zero": rules.Epsilon(0.0),
    "epsilon": rules.Epsilon(),
    "large_epsilon": rules.Epsilon(0.25),
    "gamma": rules.Gamma(),
    "z_plus": rules.ZPlus(),
    "alpha2_beta1": rules.AlphaBeta(),
    "alpha1_beta0": rules.AlphaBeta(1.0, 0.0),
    "flat": rules.Flat(),
    "w_square": rules.WSquared(),
}
COMPOSITES = (
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_gamma_box",
    "epsilon_alpha2_beta1",
    "epsilon_alpha2_beta1_flat",
)
EXPLAINERS = {
    **{name: functools.partial(lrp, composite=name) for name in COMPOSITES},
    "excitation_backprop": excitation_backprop,
    "guided_backprop": guided_backprop,
    "deconvnet": deconvnet,
}
# The largest relevance is a share of the logit there, and of one here.
OF_ONE = ("excitation_backprop",)


def network(name):
    """Its function, and what the peers found, in float64."""
    weights, arrays = peer_nets.load(name)
    if name == "tiny_residual":
        weights = peer_nets.folded(weights)
    return functools.partial(peer_nets.NETWORKS[name], weights), arrays


def explain(explainer, name, **options):
    """Maps, and all that the file has."""
    logits_fn, arrays = network(name)
    images, labels = jnp.asarray(arrays["images"]), jnp.asarray(arrays["labels"])
    run = jax.jit(lambda x, y: explainer(logits_fn, x, y, **options))
    return np.asarray(run(images, labels)), arrays


def assert_close(maps, expected, tolerance):
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(maps / scale, expected / scale, rtol=0, atol=tolerance)


def label_logits(arrays):
    return arrays["logits"][np.arange(2), arrays["labels"]][:, None, None, None]


@pytest.mark.parametrize("name", quick(RULES, "gamma", "alpha2_beta1", "flat"))
def test_one_rule_in_all_layers(name):
    rule = RULES[name]
    with toys.float64():
        composite = Composite(convolution=rule, dense=rule)
        maps, arrays = explain(lrp, "tiny_conv", composite=composite)
    assert_close(maps, arrays[f"zennit/{name}/images"], FLOAT64)


def test_z_box():
    with toys.float64():
        composite = Composite(first_convolution=rules.ZBox())
        maps, arrays = explain(lrp, "tiny_conv", composite=composite)
    assert_close(maps, arrays["zennit/z_box/images"], FLOAT64)


# Each network with a few, and each explainer that takes no composite with one.
KEPT = (
    ("tiny_conv", "epsilon_plus"),
    ("tiny_conv", "epsilon_gamma_box"),
    ("tiny_residual", "epsilon_alpha2_beta1_flat"),
    ("tiny_residual", "excitation_backprop"),
    ("tiny_residual", "guided_backprop"),
    ("tiny_residual", "deconvnet"),
)


@pytest.mark.parametrize(
    ("model", "explainer"),
    [
        case if case in KEPT else pytest.param(*case, marks=pytest.mark.slow)
        for case in itertools.product(["tiny_conv", "tiny_residual"], EXPLAINERS)
    ],
)
def test_composites(model, explainer):
    with toys.float64():
        maps, arrays = explain(EXPLAINERS[explainer], model)
    if explainer in OF_ONE:
        maps = maps * label_logits(arrays)
    assert_close(maps, arrays[f"zennit/{explainer}/images"], FLOAT64)
    if f"captum/{explainer}" in arrays:
        assert_close(maps, arrays[f"captum/{explainer}"], FLOAT64)


def test_a_batch_norm_that_is_not_folded():
    """It belongs to the convolution before it: the same as folded."""
    weights, arrays = peer_nets.load("tiny_residual")

    def logits_fn(x):
        return peer_nets.tiny_residual(weights, x, unfolded=True)

    with toys.float64():
        images, labels = (jnp.asarray(arrays[k]) for k in ("images", "labels"))
        for composite in ("epsilon_gamma_box", "epsilon_alpha2_beta1_flat"):
            run = jax.jit(lambda x: lrp(logits_fn, x, labels, composite=composite))
            expected = arrays[f"zennit/{composite}/images"]
            assert_close(np.asarray(run(images)), expected, FLOAT64)


BASELINES = {
    "zero": lambda b: 0.0,
    "image": lambda b: b[0],
    "each": lambda b: b[1:3],
    "shap": lambda b: b[:, None],
}


@pytest.mark.parametrize("baseline", quick(BASELINES, "image"))
@pytest.mark.parametrize(
    "model", quick(["tiny_conv", "tiny_residual", "tiny_smooth"], "tiny_residual")
)
def test_deeplift(model, baseline):
    """Captum's where it is exact; ties of a constant baseline are decided by rounding."""
    with toys.float64():
        baselines = jnp.asarray(peer_nets.load(model).arrays["baselines"])
        given = BASELINES[baseline](baselines)
        maps, arrays = explain(deeplift, model, baseline=given)
        kind = "deep_lift_apart" if model == "tiny_conv" else "deep_lift"
        if (model, baseline) != ("tiny_conv", "zero"):
            assert_close(maps, arrays[f"captum/{kind}/{baseline}"], 1e-6)
        sums = maps.sum((1, 2, 3))
        logits_fn, _ = network(model)
        score = ja.scores.logit(logits_fn, jnp.asarray(arrays["labels"]))
        of = [
            np.asarray(score(jnp.broadcast_to(b, arrays["images"].shape)))
            for b in (given if baseline == "shap" else [given])
        ]
        images = jnp.asarray(arrays["images"])
        np.testing.assert_allclose(sums, score(images) - sum(of) / len(of), rtol=1e-9)


LIMIT = rules.composite(
    "attn_lrp",
    **dict.fromkeys(
        ("convolution", "dense", "sum", "addition", "affine", "normalization"),
        rules.Epsilon(1e-14),
    ),
    product=rules.Uniform(1e-14),
)
SIGNED = rules.composite("attn_lrp", product=rules.Uniform(1e-6))


@pytest.mark.parametrize(
    ("variant", "composite", "tolerance"),
    [
        ("limit", LIMIT, FLOAT64),
        pytest.param("efficient", LIMIT, FLOAT64, marks=pytest.mark.slow),
        pytest.param("signed", SIGNED, FLOAT64, marks=pytest.mark.slow),
        ("explicit", "attn_lrp", 1e-3),
    ],
)
def test_attn_lrp(variant, composite, tolerance):
    with toys.float64():
        maps, arrays = explain(lrp, "tiny_vit", composite=composite)
    assert_close(maps, arrays[f"lxt/{variant}/images"], tolerance)


@pytest.mark.slow
def test_attn_lrp_of_three_blocks():
    weights = peer_nets.vit_weights(peer_nets.SMALL_VIT)
    arrays = peer_nets.load("small_vit").arrays
    with toys.float64():
        images = jnp.asarray(goldens.images(32), jnp.float64)
        run = jax.jit(
            lambda x: lrp(
                functools.partial(peer_nets.small_vit, weights),
                x,
                jnp.asarray(arrays["labels"]),
                composite=SIGNED,
            )
        )
        maps = np.asarray(run(images))
    assert_close(maps, arrays["lxt/signed/images"], 1e-6)


def lxt_layer_norm(x, scale, shift):
    x = x - jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean(x * x, -1, keepdims=True)
    return x * lax.rsqrt(variance + 1e-6) * scale[None] + shift[None]


OPERATIONS = {
    "linear": lambda x, weights, bias: x @ weights.T + bias[None],
    "matmul": jnp.matmul,
    "add": jnp.add,
    "multiply": jnp.multiply,
    "softmax": jax.nn.softmax,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "layer_norm": lxt_layer_norm,
    "rms_norm": lambda x, scale: (
        x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6) * scale[None]
    ),
    "mean": lambda x: jnp.mean(x, 1, keepdims=True),
}


def propagated(function, variables, others, relevance):
    """What the variables get of any relevance of the result."""

    def packed(x):
        ends = np.cumsum([v.size for v in variables])
        parts = [
            x[end - v.size : end].reshape(v.shape) for v, end in zip(variables, ends)
        ]
        return function(*parts, *others)

    x = jnp.concatenate([v.reshape(-1) for v in variables])
    program, _ = trace(packed, x)
    layers = graph(program, program.inputs, LIMIT.reading)
    evaluation = Evaluation(layers, [[x]])
    (result,) = pull(evaluation, [relevance], LIMIT.rule, LIMIT.reading)
    return result


@functools.cache
def operations():
    """Of each, what our rules and LXT's make of the same relevance; one program."""
    with np.load(peer_nets.FOLDER / "lxt_operations.npz") as file:
        arrays = dict(file.items())
    named = lambda prefix: [v for k, v in arrays.items() if k.startswith(prefix)]
    given, expected = {}, {}
    for name in OPERATIONS:
        relevances = named(f"{name}/relevances/")
        inputs = [np.asarray(v, np.float64) for v in named(f"{name}/inputs/")]
        variables, others = inputs[: len(relevances)], inputs[len(relevances) :]
        relevance = np.asarray(arrays[f"{name}/relevance"], np.float64)
        given[name] = variables, others, relevance
        expected[name] = np.concatenate([r.reshape(-1) for r in relevances])
    with toys.float64():
        run = lambda given: {n: propagated(OPERATIONS[n], *a) for n, a in given.items()}
        return jax.tree.map(np.asarray, jax.jit(run)(given)), expected


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_of_transformers_one_by_one(name):
    """With a relevance that has nothing to do with the result.

    LXT's stabilisers, 1e-6 and 1e-8, are added without the sign of the denominator; its
    RMS norm is rounded to float32.
    """
    maps, expected = operations()
    assert_close(maps[name], expected[name], 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("explainer", [*EXPLAINERS, "deep_lift_apart/image"])
@pytest.mark.parametrize("model", ["vgg16", "resnet50"])
def test_zoo(model, explainer):
    """Deep networks in float32, a summary of the map."""
    classifier, _ = goldens.drawn(goldens.Case(model, "torchvision"))
    arrays = peer_nets.load(model).arrays
    images = jnp.asarray(goldens.images(64), jnp.float32)
    labels = jnp.asarray(arrays["labels"])
    if explainer in EXPLAINERS:
        function, peer = EXPLAINERS[explainer], "zennit"
    else:
        baseline = jnp.asarray(peer_nets.baselines((64, 64, 3))[0])
        function, peer = functools.partial(deeplift, baseline=baseline), "captum"
    maps = np.asarray(jax.jit(function)(classifier, images, labels))
    if explainer in ("guided_backprop", "deconvnet"):
        maps = maps * np.asarray(classifier.config.weights.std)
    if explainer in OF_ONE:
        maps = maps * label_logits(arrays)
    found = peer_nets.summary(maps)
    for part in ("blocks", "samples"):
        expected = arrays[f"{peer}/{explainer}/{part}"]
        assert_close(found[part], expected, FLOAT32)
