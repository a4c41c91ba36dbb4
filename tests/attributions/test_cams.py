"""The kin of Grad-CAM against their equations, and against pytorch-grad-cam."""

import functools
import pathlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick
from split_toy import MODEL, features_and_slopes, logits, resized

import jaxattr as ja

GOLDENS = pathlib.Path(__file__).parent / "goldens" / "cams.npz"
IMAGES, LABELS = toys.images(3, 8, 6), toys.labels(3)
NAMES = (
    "grad_cam_pp",
    "hires_cam",
    "layer_cam",
    "xgrad_cam",
    "score_cam",
    "ablation_cam",
    "eigen_cam",
)


def hires_cam(features, slopes, image, label):
    return (slopes * features).sum(-1)


def layer_cam(features, slopes, image, label):
    return (np.maximum(slopes, 0) * features).sum(-1)


def grad_cam_pp(features, slopes, image, label):
    weights = np.zeros(5)
    for k in range(5):
        total = features[..., k].sum()
        for slope in slopes[..., k].ravel():
            if slope > 0:
                alpha = slope**2 / (2 * slope**2 + total * slope**3)
                weights[k] += alpha * slope
    return features @ weights


def xgrad_cam(features, slopes, image, label):
    totals = features.sum((0, 1))
    return features @ ((features / totals * slopes).sum((0, 1)))


def score_cam(features, slopes, image, label):
    seen = []
    for k in range(5):
        mask = resized(features[..., k])
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        masked = np.asarray(image, np.float64) * mask[..., None]
        seen.append(logits(features_and_slopes(masked, label)[0])[label])
    weights = np.exp(np.array(seen) - max(seen))
    return features @ (weights / weights.sum())


def ablation_cam(features, slopes, image, label):
    score = logits(features)[label]
    left = []
    for k in range(5):
        without = features.copy()
        without[..., k] = 0
        left.append(logits(without)[label])
    return features @ ((score - np.array(left)) / score)


def eigen_cam(features, slopes, image, label):
    flat = features.reshape(-1, 5)
    projected = flat @ np.linalg.svd(flat)[2][0]
    sign = np.sign(projected[np.abs(projected).argmax()])
    return (sign * projected).reshape(features.shape[:2])


def reference(name, relu):
    maps = []
    for image, label in zip(IMAGES, LABELS):
        features, slopes = features_and_slopes(image, label)
        cam = globals()[name](features, slopes, image, label)
        maps.append(resized(np.maximum(cam, 0) if relu else cam))
    return np.repeat(np.array(maps)[..., None], 3, -1)


@pytest.mark.parametrize("name", NAMES)
def test_equation(name):
    explain = functools.partial(getattr(ja, name), MODEL)
    maps = jax.jit(functools.partial(explain, relu=False))(IMAGES, LABELS)
    expected = reference(name, relu=False)
    scale = np.abs(expected).max()
    assert scale > 0.1
    np.testing.assert_allclose(maps, expected, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("name", quick(NAMES, "ablation_cam"))
def test_equation_of_the_positive_part_whatever_the_calls_hold(name, rows):
    run = jax.jit(functools.partial(getattr(ja, name), MODEL, batch_size=rows))
    expected, found = reference(name, relu=True), run(IMAGES, LABELS)
    scale = np.abs(reference(name, relu=False)).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize("name", ["score_cam", "ablation_cam"])
def test_no_call_holds_more_rows_than_asked_for(name):
    rows = []

    def counted(function):
        def count(x):
            rows.append(len(x))
            return function(x)

        return count

    model = ja.models.Split(counted(MODEL.features), counted(MODEL.head))
    run = functools.partial(getattr(ja, name), model, batch_size=7)
    jax.eval_shape(run, IMAGES, LABELS)
    assert max(rows) == 6  # two masks or channels of three images


class Golden:
    """The network of ``make_cam_goldens.py``."""

    def __init__(self):
        self.kept = dict(np.load(GOLDENS))
        self.images = jnp.asarray(self.kept["images"])
        self.labels = jnp.asarray(self.kept["labels"])

    def convolved(self, x, name, stride=1):
        kernel = self.kept[f"params.{name}.weight"].transpose(2, 3, 1, 0)
        bias = self.kept[f"params.{name}.bias"]
        found = jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return found + bias[None, None, None, :]

    def features(self, x):
        return jax.nn.relu(self.convolved(x, "first", 2))

    def head(self, f):
        means = jnp.mean(jax.nn.relu(self.convolved(f, "second")), (1, 2))
        bias = self.kept["params.last.bias"]
        return means @ self.kept["params.last.weight"].T + bias[None]

    def named(self, x):
        with jax.named_scope("relu"):
            x = self.features(x)
        return self.head(x)


@pytest.fixture(scope="module")
def golden():
    return Golden()


def stretched(maps):
    maps = np.asarray(maps, np.float64)[..., 0]
    maps = maps - maps.min((1, 2), keepdims=True)
    return maps / maps.max((1, 2), keepdims=True)


@pytest.mark.parametrize(
    "name", quick(["grad_cam", *NAMES], "grad_cam_pp", "xgrad_cam")
)
def test_pytorch_grad_cam(golden, name):
    logits = golden.head(golden.features(golden.images))
    np.testing.assert_allclose(logits, golden.kept["logits"], rtol=1e-3, atol=1e-3)
    options = {"center": True} if name == "eigen_cam" else {}
    explain = jax.jit(functools.partial(getattr(ja, name), golden, **options))
    maps = explain(golden.images, golden.labels)
    expected = golden.kept[name]
    assert (expected.std((1, 2)) > 0.05).all()
    if name == "eigen_cam":
        # Its sign is what an SVD leaves there: any of the two.
        places = golden.features(golden.images)
        whole = types.SimpleNamespace(features=lambda x: x, head=golden.head)
        cams = ja.eigen_cam(whole, places, golden.labels, relu=False, center=True)[
            ..., :1
        ]
        opposite = jax.image.resize(jax.nn.relu(-cams), (3, 12, 16, 1), "linear")
        both = stretched(maps), stretched(opposite)
        error = np.min([np.abs(m - expected).max((1, 2)) for m in both], 0)
        assert error.max() < 1e-4
        return
    np.testing.assert_allclose(stretched(maps), expected, atol=1e-4)


@pytest.mark.parametrize("name", quick(NAMES, "hires_cam"))
def test_a_layer_by_name_is_the_split_there(golden, name):
    images, labels = golden.images, golden.labels
    explain = getattr(ja, name)
    by_name = jax.jit(lambda x, y: explain(golden.named, x, y, layer="relu"))
    expected = jax.jit(lambda x, y: explain(golden, x, y))(images, labels)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(by_name(images, labels), expected, atol=1e-5 * scale)


@pytest.mark.slow
def test_hires_cam_of_a_linear_head_sums_to_the_score():
    """And so do the weights of XGrad-CAM; those of Grad-CAM do not."""
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3, 5, 4)), "float32")
    model = types.SimpleNamespace(
        features=MODEL.features, head=lambda f: jnp.einsum("nhwd,hwdk->nk", f, weights)
    )
    scores = ja.scores.logit(model.head, LABELS)(model.features(IMAGES))
    total = lambda explain: explain(model, IMAGES, LABELS, relu=False)[..., 0].sum(
        (1, 2)
    )
    for explain in (ja.hires_cam, ja.xgrad_cam):
        # Four pixels a place; at the border resizing keeps no sums, so take places.
        cams = places_of(explain, model)
        np.testing.assert_allclose(cams.sum((1, 2)), scores, rtol=1e-4)
    assert not np.allclose(places_of(ja.grad_cam, model).sum((1, 2)), scores, rtol=1e-2)
    assert np.isfinite(total(ja.hires_cam)).all()


def places_of(explain, model):
    """The map of features as large as the image: nothing is resized."""
    whole = types.SimpleNamespace(features=lambda x: x, head=model.head)
    features = model.features(IMAGES)
    return np.asarray(explain(whole, features, LABELS, relu=False))[..., 0]


def test_dead_and_constant_channels_give_no_nan():
    features = lambda x: jnp.concatenate([x, 0 * x, 0 * x + 1], -1)
    head = lambda f: jnp.sum(f**2, (1, 2)) @ jnp.ones((9, 4))
    model = types.SimpleNamespace(features=features, head=head)

    @jax.jit
    def both(x):
        found = {}
        for name in NAMES:
            explain = functools.partial(getattr(ja, name), model, labels=LABELS)
            found[name] = jax.value_and_grad(lambda x: jnp.sum(explain(images=x) ** 2))(
                x
            )
        return found

    for name, (value, slope) in both(IMAGES).items():
        assert np.isfinite(value), name
        assert np.isfinite(slope).all(), name


@pytest.mark.parametrize("height", quick([4, 8], 4))
@pytest.mark.slow
def test_derivative_of_the_singular_vector(height):
    """By finite differences, with more channels than places and with fewer."""
    with toys.float64():
        images = toys.images(1, height, 6, dtype=jnp.float64)[..., :1]
        matrix = jax.random.normal(jax.random.key(0), (1, 9), jnp.float64)
        model = types.SimpleNamespace(
            features=lambda x: jnp.sin(4 * x[:, ::2, ::2] @ matrix),
            head=lambda f: f,
        )
        probe = jnp.cos(9 * images)
        total = jax.jit(
            lambda x: jnp.sum(probe * ja.eigen_cam(model, x, LABELS[:1], relu=False))
        )
        step = 1e-6 * jnp.sin(7 * images)
        slope = jnp.vdot(jax.grad(total)(images), step)
        change = (total(images + step) - total(images - step)) / 2
        np.testing.assert_allclose(slope, change, rtol=1e-5)


@pytest.mark.slow
def test_the_largest_projection_is_positive():
    model = types.SimpleNamespace(features=lambda x: x, head=lambda f: f)
    for sign in (1, -1):
        images = sign * jnp.zeros((1, 4, 4, 1)).at[0, 1, 2].set(1.0)
        maps = ja.eigen_cam(model, images, LABELS[:1], center=True)
        assert np.unravel_index(np.argmax(maps[0, :, :, 0]), (4, 4)) == (1, 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_not_split_is_refused(name):
    with pytest.raises(ValueError, match="logits_fn: .*features and head.*layer="):
        getattr(ja, name)(MODEL.features, IMAGES, LABELS)
