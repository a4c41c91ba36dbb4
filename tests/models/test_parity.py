"""Against torch: logits, the layers on the way, and input gradients of every family.

The weights are drawn by a rule, so that only results are stored; see ``goldens``.
"""

import contextlib

import goldens
import jax
import numpy as np
import pytest
import toys

from jaxattr.models.classifier import Part

PARAMETERS = [
    pytest.param(case, id=case.path.stem, marks=[pytest.mark.slow] if case.slow else [])
    for case in goldens.CASES
]


def outputs(classifier, images):
    """What every layer makes of the one before, by name."""
    results = {}
    for i, name in enumerate(classifier.layers):
        part = Part(classifier.params, classifier.config, i, i + 1)
        images = results[name] = part(images)
    return results


def explained(classifier, images):
    """Every layer's output, and the gradient of two logits in the pixels."""

    def logits(images):
        results = outputs(classifier, images)
        last = results[classifier.layers[-1]]
        return last[0, 1] + last[1, 2], results

    return jax.grad(logits, has_aux=True)(images)


@pytest.mark.parametrize("case", PARAMETERS)
def test_hardly_a_layer_is_left_out(case):
    with np.load(case.path) as golden:
        missing = goldens.missing_layers(case, golden["names"])
    assert len(missing) <= goldens.MAX_MISSING, missing


# In float32 a unit of it falls on the other side of zero; in float64 the gradients of torch
# and ours agree to 1e-15.
AT_A_KINK = ("vgg13",)
SMALL = (
    *("mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5"),
    *("efficientnet_b0", "regnet_x_400mf", "regnet_y_400mf", "densenet121"),
    "googlenet",
)
SMALLEST = SMALL[:4]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=case.path.stem,
            marks=[] if case.model in SMALLEST else [pytest.mark.slow],
        )
        for case in goldens.CASES
        if case.model in SMALL
    ],
)
def test_the_rules_name_torchs_tensors(case):
    """What parity needs first, of networks that take long to compile."""
    with np.load(case.path) as golden:
        assert goldens.drawn(case)[1] == golden["checksum"]


@pytest.mark.parametrize("case", PARAMETERS)
def test_parity(case):
    golden = np.load(case.path)
    classifier, checksum = goldens.drawn(case)
    assert checksum == golden["checksum"], "the rules name other tensors than torch"
    images = goldens.images(case.size)
    wide = case.model in AT_A_KINK
    with toys.float64() if wide else contextlib.nullcontext():
        if wide:
            images = images.astype(np.float64)
            classifier = jax.tree.map(lambda p: p.astype(np.float64), classifier)
        gradient, layers = jax.jit(explained)(classifier, images)
    for name, expected in zip(golden["names"], golden["layers"], strict=True):
        got = goldens.summary(layers[str(name)])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            got, expected, rtol=0, atol=1e-4 * scale, err_msg=name
        )
    logits = layers[classifier.layers[-1]]
    scale = np.abs(golden["logits"]).max()
    np.testing.assert_allclose(logits, golden["logits"], rtol=0, atol=1e-4 * scale)
    # Rounding may put a unit on the other side of zero, where the gradient jumps.
    error = np.abs(goldens.summary(gradient) - golden["gradient"])
    assert np.median(error) < 1e-4 * golden["gradient_max"]
    assert np.max(error) < 1e-2 * golden["gradient_max"]
