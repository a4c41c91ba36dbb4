"""What a new user tries first: labels that are no class, other ranges, other models.

Values that are known are refused; traced ones become NaN, never zero.
"""

import functools
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from quick import quick

import jaxattr as ja

KEY = jax.random.key(0)
W = jax.random.normal(jax.random.key(1), (48, 3))
net = lambda x: jnp.tanh(x.reshape(len(x), -1) @ W / 7)
x = jax.random.uniform(jax.random.key(2), (3, 4, 4, 3))
y = jnp.array([0, 1, 2])
split_net = types.SimpleNamespace(features=lambda x: x, head=net)

EXPLAINERS = {
    "saliency": functools.partial(ja.saliency, net),
    "input_x_gradient": functools.partial(ja.input_x_gradient, net),
    "smoothgrad": functools.partial(ja.smoothgrad, net, key=KEY, num_samples=2),
    "integrated_gradients": functools.partial(
        ja.integrated_gradients, net, num_steps=2
    ),
    "expected_gradients": functools.partial(
        ja.expected_gradients, net, key=KEY, num_samples=2, references=x
    ),
    "occlusion": functools.partial(ja.occlusion, net, window=2, stride=1),
    "rise": functools.partial(ja.rise, net, key=KEY, num_samples=2, grid=2),
    "lime": functools.partial(ja.lime, net, key=KEY, num_samples=4, segments=(1, 2)),
    "kernel_shap": functools.partial(
        ja.kernel_shap, net, key=KEY, num_samples=4, segments=(1, 2)
    ),
    "guided_ig": functools.partial(ja.guided_ig, net, num_steps=2),
    "mfaba": functools.partial(ja.mfaba, net, num_steps=2),
    "agi": functools.partial(ja.agi, net, key=KEY, num_targets=2, num_steps=2),
    "isa": functools.partial(ja.isa, net, key=KEY, values_per_round=24),
    "idgi": functools.partial(ja.idgi, net, num_steps=2),
    "blur_ig": functools.partial(ja.blur_ig, net, num_steps=2, max_sigma=2.0),
    "la": functools.partial(ja.la, net, key=KEY, num_targets=2, num_steps=2),
    "attexplore": functools.partial(
        ja.attexplore, net, key=KEY, num_steps=2, num_samples=2
    ),
    "attexplore_pp": functools.partial(
        ja.attexplore_pp, net, key=KEY, num_steps=2, attack="mi_fgsm"
    ),
    "grad_cam": functools.partial(ja.grad_cam, split_net),
    "grad_cam_pp": functools.partial(ja.grad_cam_pp, split_net),
    "layer_cam": functools.partial(ja.layer_cam, split_net, relu=False),
    "xgrad_cam": functools.partial(ja.xgrad_cam, split_net, relu=False),
    "score_cam": functools.partial(ja.score_cam, split_net),
    "ablation_cam": functools.partial(ja.ablation_cam, split_net, relu=False),
    "bsm": functools.partial(
        ja.bsm, net, search=ja.BoundarySearch("deepfool", leave="label")
    ),
    "big": functools.partial(
        ja.big, net, search=ja.BoundarySearch("deepfool", leave="label"), num_steps=2
    ),
    "bsg": functools.partial(
        ja.bsg,
        net,
        key=KEY,
        search=ja.BoundarySearch("deepfool", leave="label"),
        num_samples=2,
    ),
    "fampe": functools.partial(ja.fampe, net, key=KEY, num_steps=2, num_samples=2),
    "spectral_importance": lambda x, y: (
        ja.spectral_importance(net, x, y, num_bands=2).per_image
    ),
}


FEW = ("saliency", "smoothgrad", "guided_ig", "grad_cam", "bsm")
each_kind = quick(EXPLAINERS, *FEW, "spectral_importance")


@pytest.mark.parametrize("name", each_kind)
def test_a_label_that_is_no_class_is_refused_or_nan(name):
    explain = EXPLAINERS[name]
    for wrong in (-1, 3, 99):
        with pytest.raises(ValueError, match=f"labels: .* 0 to 2, got {wrong}"):
            explain(x, jnp.array([0, wrong, 2]))
    predicted = jnp.argmax(net(x[1:2]))
    traced = jax.jit(explain)(x, jnp.array([-1, predicted, 99]))
    assert np.isnan(traced[0]).all()
    assert np.isnan(traced[2]).all()
    assert np.isfinite(traced[1]).all()
    assert np.any(traced[1] != 0)


@pytest.mark.parametrize("name", each_kind)
def test_images_with_nan_are_refused_or_nan(name):
    broken = x.at[1, 0, 0, 0].set(jnp.nan)
    with pytest.raises(ValueError, match="images: expected finite values"):
        EXPLAINERS[name](broken, y)
    maps = jax.jit(EXPLAINERS[name])(broken, y)
    assert np.isnan(maps[1]).any()
    assert np.isfinite(maps[0]).all()


def test_labels_are_refused_by_attacks_and_searches_and_their_flags_say_no():
    run = functools.partial(ja.attacks.run, "fgsm", net, x)
    search = functools.partial(
        ja.nearest_boundary,
        net,
        x,
        search=ja.BoundarySearch(
            [ja.boundaries.deepfool(num_steps=2), ja.boundaries.fab(num_steps=2)],
            leave="label",
        ),
    )
    for f in (run, search):
        with pytest.raises(ValueError, match="labels: expected classes 0 to 2, got 99"):
            f(jnp.array([0, 1, 99]))
    wrong = jnp.array([99, -1, 99])
    assert not jax.jit(run)(wrong).success.any()
    found = jax.jit(search)(wrong)
    assert np.isnan(found.distances).all()
    assert not found.found.any()


def test_known_labels_are_refused_where_only_the_images_are_traced():
    with pytest.raises(ValueError, match="labels: expected classes 0 to 2"):
        jax.jit(lambda x: ja.saliency(net, x, [3, 3, 3]))(x)
    broken = x * jnp.nan
    with pytest.raises(ValueError, match="images: expected finite"):
        jax.jit(lambda y: ja.saliency(net, broken, y))(y)


@pytest.mark.slow
def test_logits_of_nan_are_no_success_whatever_the_label():
    broken = x.at[0].set(jnp.nan)
    for label in (0, 1, 2):
        labels = y.at[0].set(label)
        found = ja.attacks.run("fgsm", net, broken, labels, epsilon=1e-6)
        assert not found.success[0]
        near = ja.nearest_boundary(
            net,
            broken,
            labels,
            search=ja.BoundarySearch(ja.boundaries.fab(num_steps=2), leave="label"),
        )
        assert not near.found[0]
        assert near.distances[0] == np.inf
        errors = ja.corruption_errors(
            net, broken, labels, key=KEY, names=["contrast"], severities=[1]
        )
        assert errors[0, 0, 0]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ja.attacks.run("fgsm", net, x, y),
        lambda x: ja.mfaba(net, x, y),
        lambda x: ja.nearest_boundary(net, x, y, search="deepfool"),
        lambda x: ja.attack_explanation(lambda z: z, x, k=1),
        lambda x: ja.corruptions.corrupt("contrast", x, severity=1),
    ],
)
def test_images_far_outside_the_bounds_are_refused(call):
    with pytest.raises(ValueError, match="images: .* within the bounds 0 to 1"):
        call(255 * x)


def test_gradients_do_not_look_at_the_range():
    assert np.isfinite(ja.saliency(net, 255 * x, y)).all()


WRONG = {
    "a tuple of 2": lambda x: (net(x), x),
    "a dict with 'logits'": lambda x: {"logits": net(x)},
    r"float32\[3\];": lambda x: net(x)[:, 0],
    r"float32\[3, 4, 4, 3\]": lambda x: x,
    r"float32\[1, 3\]": lambda x: net(x)[:1],
    r"int32\[3, 3\]": lambda x: net(x).astype(jnp.int32),
    "two_columns": lambda x: net(x)[:, :1],
}


@pytest.mark.parametrize("came", WRONG)
def test_a_model_that_returns_something_else(came):
    model = WRONG[came]
    calls = (
        lambda: ja.saliency(model, x, y * 0),
        lambda: ja.attacks.run("fgsm", model, x, y * 0),
        lambda: ja.nearest_boundary(model, x, y * 0, search="deepfool"),
        lambda: ja.deletion_curve(model, x, x, num_steps=2),
        lambda: jax.jit(functools.partial(ja.saliency, model))(x, y),
    )
    for call in calls:
        with pytest.raises(ValueError, match=f"logits_fn: .*{came}.*docs/models.md"):
            call()


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x.reshape(len(x), -1))


class Nnx(nnx.Module):
    def __init__(self):
        self.norm = nnx.BatchNorm(48, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.norm(x.reshape(len(x), -1))[:, :3]


def test_modules_that_are_no_function_of_images():
    with pytest.raises(ValueError, match="a Linen module without its parameters"):
        ja.saliency(Linen(), x, y)
    model = Nnx()
    with pytest.raises(ValueError, match=r"training mode; call model.eval\(\)"):
        ja.saliency(model, x, y)
    model.eval()
    assert np.isfinite(ja.saliency(model, x, y)).all()
    with pytest.raises(ValueError, match="logits_fn: expected a function"):
        ja.saliency(3, x, y)


def test_the_hint_for_modules_of_equinox():
    eqx = pytest.importorskip("equinox")
    layer = eqx.nn.Conv2d(3, 2, 3, key=KEY)
    with pytest.raises(Exception) as error:
        ja.saliency(layer, x, y)
    text = str(error.value) + "".join(getattr(error.value, "__notes__", ()))
    assert "one image, channels first" in text


def test_two_columns_make_a_model_with_one_output_one_of_two_classes():
    one = lambda x: (x.reshape(len(x), -1) @ W[:, :1]) / 7
    two = ja.scores.two_columns(one)
    probability = ja.scores.probability(two, jnp.ones(3, int))(x)
    np.testing.assert_allclose(
        probability, 1 / (1 + np.exp(-np.asarray(one(x))[:, 0])), rtol=1e-6
    )
    maps = ja.saliency(two, x, jnp.ones(3, int))
    expected = np.broadcast_to(np.reshape(W[:, 0] / 7, (1, 4, 4, 3)), x.shape)
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


def test_a_score_may_be_named():
    for name, score in (("margin", ja.scores.margin), ("logit", ja.scores.logit)):
        for explain in (ja.saliency, ja.integrated_gradients):
            np.testing.assert_array_equal(
                explain(net, x, y, score=name), explain(net, x, y, score=score)
            )
    with pytest.raises(ValueError, match="score: unknown 'logits'; did you mean logit"):
        ja.saliency(net, x, y, score="logits")


@pytest.mark.slow
def test_maps_with_one_value_a_pixel():
    maps = jnp.sum(x, -1)
    curve = functools.partial(ja.deletion_curve, net, x, num_steps=3)
    np.testing.assert_array_equal(curve(maps), curve(x))
    measure = functools.partial(ja.infidelity, net, x, labels=y, key=KEY, num_samples=2)
    spread = jnp.broadcast_to(maps[..., None] / 3, x.shape)
    np.testing.assert_allclose(measure(maps), measure(spread), rtol=1e-5)
    np.testing.assert_allclose(ja.alignment(maps, 2 * maps).cosine, 1, rtol=1e-6)
    with pytest.raises(ValueError, match=r"attributions: .*\(N, H, W, C\) or") as error:
        curve(maps[0])
    assert "[0, 1]" not in str(error.value)


def test_a_curve_needs_more_than_its_ends():
    for curve in (ja.insertion_curve, ja.deletion_curve):
        with pytest.raises(ValueError, match="num_steps: .*at least 2"):
            curve(net, x, x, num_steps=1)


@pytest.mark.parametrize(
    "name",
    quick(["deepfool", "fab", "apgd_dlr", "carlini_wagner", "ddn"], "fab"),
)
@pytest.mark.slow
def test_a_class_that_is_masked_is_not_there(name):
    def masked(images):
        nothing = jnp.full((len(images), 1), -jnp.inf)
        return jnp.concatenate([net(images), nothing], 1)

    options = {"radii": (1.0,), "num_steps": 8} if name == "apgd_dlr" else {}
    if name == "carlini_wagner":
        options = {"num_searches": 2, "num_steps": 20, "initial_weight": 100.0}
        options["step_size"] = 0.1
    search = [getattr(ja.boundaries, name)(**options)]
    found = [
        ja.nearest_boundary(model, x, y, search=search, key=KEY)
        for model in (net, masked)
    ]
    assert found[0].found.all()
    np.testing.assert_allclose(found[1].distances, found[0].distances, rtol=1e-3)
    if name == "deepfool":
        np.testing.assert_allclose(found[1].distances, [0.382, 0.766, 0.532], atol=1e-3)


def test_two_classes_and_a_masked_one_have_a_ratio_of_logits():
    from jaxattr.boundaries.apgd import difference_of_logits_ratio

    two = net(x)[:, :2]
    three = jnp.concatenate([two, jnp.full((3, 1), -jnp.inf)], 1)
    labels = jnp.array([0, 1, 0])
    values, slopes = [], []
    for logits in (two, three):
        score = lambda z: difference_of_logits_ratio(lambda z: z, labels)(z)
        values.append(score(logits))
        slopes.append(jax.grad(lambda z: jnp.sum(score(z)))(logits)[:, :2])
    np.testing.assert_allclose(*values, rtol=1e-6)
    np.testing.assert_allclose(*slopes, rtol=1e-6)


@pytest.mark.parametrize(("grid", "size"), [(None, (8, 16)), ((4, 8), (8, 8))])
@pytest.mark.parametrize("class_tokens", [0, 1])
def test_tokens_lie_in_the_grid_of_the_image(grid, size, class_tokens):
    hot = jnp.zeros((1, 32 + class_tokens, 2)).at[0, class_tokens + 8].set(1.0)
    model = types.SimpleNamespace(
        features=lambda x: hot, head=lambda f: jnp.sum(f, axis=1)
    )
    images = jnp.zeros((1, *size, 1))
    maps = ja.grad_cam(model, images, jnp.array([0]), grid=grid)[0, :, :, 0]
    # Token 8 of 4 x 8 is the first of the second row.
    coarse = np.asarray(maps).reshape(4, size[0] // 4, 8, size[1] // 8).mean((1, 3))
    assert np.unravel_index(coarse.argmax(), (4, 8)) == (1, 0)


def test_tokens_without_a_grid_ask_for_it():
    model = types.SimpleNamespace(
        features=lambda x: jnp.ones((1, 32, 2)), head=lambda f: jnp.sum(f, axis=1)
    )
    images, labels = jnp.zeros((1, 8, 8, 1)), jnp.array([0])
    with pytest.raises(ValueError, match=r"grid: expected \(rows, columns\)"):
        ja.grad_cam(model, images, labels)
    with pytest.raises(ValueError, match="grid: expected at most the 32 tokens"):
        ja.grad_cam(model, images, labels, grid=(6, 6))
