"""Attacks on explanations: closed forms, a slow loop, and what they promise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja

PARAMS = toys.init_smooth(jax.random.key(4))
model = functools.partial(toys.smooth_logits, PARAMS)
IMAGES = toys.images()
LABELS = jnp.argmax(model(IMAGES), axis=-1)
KEY = jax.random.key(0)
explain = functools.partial(ja.saliency, model, labels=LABELS)
saliency = jax.jit(functools.partial(ja.saliency, model))
TARGET = np.zeros((6, 5), np.float32)
TARGET[:2, :2] = 1
SMALL = {"epsilon": 0.1, "step_size": 0.03, "num_steps": 6}
KINDS = {
    "top_k": {"k": 6},
    "top_k, lens": {"k": 6, "kind": "top_k", "window": 1},
    "mass_center": {},
    "target": {"target": TARGET},
    "random_sign": {"k": 6, "key": KEY},
}


def options(name, **overrides):
    return (
        {"kind": name, "logits_fn": model, "labels": LABELS}
        | SMALL
        | KINDS[name]
        | overrides
    )


@functools.cache
def attacked(name):
    given = options(name)
    return jax.jit(lambda x: ja.attack_explanation(explain, x, **given))(IMAGES)


def maps_of(points, explain=explain):
    maps = np.abs(np.asarray(explain(points), np.float64)).sum(-1)
    return maps / maps.mean((1, 2), keepdims=True)


def top(maps, k):
    order = np.argsort(-maps.ravel(), kind="stable")[:k]
    mask = np.zeros(maps.size, bool)
    mask[order] = True
    return mask.reshape(maps.shape)


def center(maps):
    rows, columns = np.indices(maps.shape)
    return np.array([(maps * rows).mean(), (maps * columns).mean()])


def value(name, original, maps):
    if name == "mass_center":
        return -np.linalg.norm(center(maps) - center(original))
    if name == "target":
        return -(maps * TARGET).mean()
    return (top(original, 6) & top(maps, 6)).sum() / 6


@functools.cache
def slope(name):
    """Written again, for one map, from the table of the docstring."""
    rows, columns = map(jnp.asarray, np.indices(TARGET.shape).astype(np.float32))

    def of_map(maps, mask, place):
        if name == "mass_center":
            return (jnp.mean(maps * rows) - place[0]) ** 2 + (
                jnp.mean(maps * columns) - place[1]
            ) ** 2
        return jnp.sum(maps * TARGET) if name == "target" else -jnp.sum(maps * mask)

    def total(x, label, mask, place):
        maps = jnp.abs(ja.saliency(model, x, label)).sum(-1)[0]
        return of_map(maps / maps.mean(), mask, place)

    return jax.jit(jax.grad(total))


def slow_attack(name, i):
    """One image, step by step."""
    image, label = np.asarray(IMAGES[i : i + 1]), LABELS[i : i + 1]
    one = lambda x: saliency(x, label)
    original = maps_of(image, one)[0]
    mask = top(original, 6)
    if name == "top_k, lens":
        padded = np.pad(mask, 1)
        mask = np.any(
            [padded[r : r + 6, c : c + 5] for r in range(3) for c in range(3)], axis=0
        )
    given = mask.astype(np.float32), np.floor(center(original)).astype(np.float32)
    best, best_value, x = image, value(name, original, original), image
    for _ in range(SMALL["num_steps"] + 1):
        held = int(jnp.argmax(model(x)[0])) == int(label[0])
        current = value(name, original, maps_of(x, one)[0])
        if held and current < best_value:
            best, best_value = x, current
        step = np.asarray(jnp.sign(slope(name)(x, label, *given)))
        x = np.clip(x + SMALL["step_size"] * step, image - 0.1, image + 0.1)
        x = np.clip(x, 0, 1).astype(np.float32)
    return best[0], best_value


@pytest.mark.parametrize(
    "name", quick([n for n in KINDS if n != "random_sign"], "target", "top_k, lens")
)
def test_against_a_slow_loop(name):
    result = attacked(name)
    for i in range(len(IMAGES)):
        best, best_value = slow_attack(name, i)
        np.testing.assert_allclose(result.images[i], best, atol=2e-5)
        found = value(name, maps_of(IMAGES)[i], maps_of(result.images)[i])
        assert found == pytest.approx(best_value, abs=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_budget_box_label_and_never_worse(name):
    result = attacked(name)
    offset = np.asarray(result.images - IMAGES)
    assert np.abs(offset).max() <= 0.1 + 1e-6
    assert float(result.images.min()) >= 0
    assert float(result.images.max()) <= 1
    np.testing.assert_array_equal(jnp.argmax(model(result.images), -1), LABELS)
    expected = np.sqrt((offset**2).sum((1, 2, 3)))
    np.testing.assert_allclose(result.distances, expected, rtol=1e-5)
    before, after = maps_of(IMAGES), maps_of(result.images)
    for i in range(len(IMAGES)):
        start, end = value(name, before[i], before[i]), value(name, before[i], after[i])
        assert end < start if result.success[i] else end == start
    if name != "random_sign":
        assert result.success.sum() >= 2


def test_the_first_step_on_a_quadratic_model_is_known():
    """``f = Σ aᵢ xᵢ²``: maps ``2 aᵢ xᵢ``, so the top goes down and the rest up."""
    a = jnp.linspace(1.0, 2.0, 30).reshape(6, 5, 1)
    quadratic = lambda x: jnp.pad(
        jnp.sum(a[None] * x**2, axis=(1, 2, 3))[:, None], [(0, 0), (0, 1)]
    )
    images = toys.images(c=1)
    maps = np.asarray(2 * a[None] * images)[..., 0]
    step = np.stack([np.where(top(m, 6), -1.0, 1.0) for m in maps])[..., None]
    run = functools.partial(
        ja.attack_explanation,
        functools.partial(ja.saliency, quadratic, labels=jnp.zeros(3, int)),
        k=6,
        epsilon=0.2,
        step_size=0.15,
        num_steps=1,
    )
    result = jax.jit(run)(images)
    np.testing.assert_allclose(
        result.images, np.clip(images + 0.15 * step, 0, 1), atol=1e-6
    )
    assert result.success.all()


@pytest.mark.slow
def test_the_gradient_through_integrated_gradients():
    """Σ IG of ``a·b²`` from zero is ``a·b²``: at (1, 2) its gradient is (4, 4)."""
    product = lambda x: jnp.pad(
        (x[:, 0, 0, 0] * x[:, 0, 0, 1] ** 2)[:, None], [(0, 0), (0, 1)]
    )
    explain = functools.partial(
        ja.integrated_gradients,
        product,
        labels=jnp.zeros(1, int),
        num_steps=3,
        rule="gauss-legendre",
    )
    point = jnp.array([1.0, 2.0]).reshape(1, 1, 1, 2)
    gradient = jax.jit(jax.grad(lambda x: explain(x).sum()))(point)
    np.testing.assert_allclose(gradient.ravel(), [4, 4], rtol=1e-5)
    with toys.float64():
        point = point.astype(jnp.float64)
        weights = jnp.array([1.0, -3.0], jnp.float64)
        weigh = jax.jit(lambda x: jnp.sum(explain(x).ravel() * weights))
        for i in range(2):
            h = 1e-5 * jnp.eye(2, dtype=jnp.float64)[i].reshape(point.shape)
            expected = float((weigh(point + h) - weigh(point - h)) / 2e-5)
            actual = float(jax.jit(jax.grad(weigh))(point).ravel()[i])
            assert actual == pytest.approx(expected, rel=1e-8)


@pytest.mark.slow
def test_explainers_see_exactly_the_images_in_order():
    seen = []

    def spying(x):
        seen.append(x.shape)
        return x * jnp.arange(1.0, 4.0).reshape(3, 1, 1, 1)

    ja.attack_explanation(spying, IMAGES, k=3, **SMALL)
    ja.attack_explanation(explain, IMAGES, k=3, score_explain_fn=spying, **SMALL)
    assert set(seen) == {IMAGES.shape}


def relu_logits(activation):
    """A small network as in the zoo: its activation is an option."""

    def logits_fn(x):
        hidden = x.reshape(x.shape[0], -1) @ PARAMS["hidden"] * 3
        return activation(hidden) @ PARAMS["head"]

    return logits_fn


@pytest.mark.slow
def test_relu_stands_still_and_its_softplus_twin_moves_it():
    relu = relu_logits(jax.nn.relu)
    labels = jnp.argmax(relu(IMAGES), axis=-1)
    original = functools.partial(ja.saliency, relu, labels=labels)
    still = ja.attack_explanation(original, IMAGES, k=6, **SMALL)
    np.testing.assert_array_equal(still.images, IMAGES)
    assert not still.success.any()

    betas = []

    def twin(x, beta):
        betas.append(beta)
        softplus = relu_logits(lambda v: jax.nn.softplus(beta * v) / beta)
        return ja.saliency(softplus, x, labels)

    given = {"k": 6, "score_explain_fn": original, "logits_fn": relu, "labels": labels}
    moved = ja.attack_explanation(
        twin, IMAGES, schedule=lambda t: 5.0 + t, **SMALL | given
    )
    assert moved.success.any()
    before, after = maps_of(IMAGES, original), maps_of(moved.images, original)
    for i in range(3):
        kept = (top(before[i], 6) & top(after[i], 6)).sum()
        assert kept < 6 if moved.success[i] else kept == 6
    np.testing.assert_array_equal(jnp.argmax(relu(moved.images), -1), labels)


def test_the_schedule_is_followed_and_its_end_is_judged():
    """Maps ``β x²`` do not depend on β once scaled; a trace of them does."""
    seen = []

    def explain(x, beta):
        jax.debug.callback(lambda b: seen.append(float(b)), beta)
        return beta * x**2

    ja.attack_explanation(explain, IMAGES, k=3, schedule=lambda t: 1.0 + t, **SMALL)
    jax.effects_barrier()
    assert set(seen) == {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}
    # Steps 1 .. 6 in order; where they are judged, always the end.
    assert [b for b in seen if b != 7.0] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.slow
def test_the_measure_chooses_the_step():
    given = options("top_k", labels=None, logits_fn=None)
    kept = {
        name: ja.attack_explanation(explain, IMAGES, measure=measure, **given)
        for name, measure in (
            ("kendall", ja.kendall),
            ("lens", functools.partial(ja.lens_recall, k=6, window=1)),
        )
    }
    original = ja.pixel_magnitudes(explain(IMAGES))
    tau = {
        name: ja.kendall(original, ja.pixel_magnitudes(explain(result.images)))
        for name, result in kept.items()
    }
    assert (tau["kendall"] <= tau["lens"]).all()
    assert not np.array_equal(kept["kendall"].images, kept["lens"].images)


def test_a_wrongly_classified_image_stands():
    wrong = (LABELS + 1) % 4
    result = ja.attack_explanation(explain, IMAGES, **options("top_k", labels=wrong))
    label = jnp.argmax(model(result.images), axis=-1)
    np.testing.assert_array_equal(result.success, label == wrong)
    stands = np.asarray(~result.success)
    np.testing.assert_array_equal(result.images[stands], IMAGES[stands])


@pytest.mark.slow
def test_random_signs_one_step_and_per_image():
    given = {"kind": "random_sign", "k": 6, "epsilon": 0.05, "step_size": 0.05}
    keys = jax.random.split(KEY, 3)
    itself = lambda x: x
    result = ja.attack_explanation(itself, IMAGES, key=keys, num_steps=1, **given)
    moved = np.asarray(result.success)
    assert moved.any()
    offset = np.asarray(result.images - IMAGES)[moved]
    np.testing.assert_allclose(np.abs(offset), 0.05, atol=1e-6)
    assert abs(offset.mean()) < 0.05 * 0.3
    again = ja.attack_explanation(
        itself, IMAGES[1:], key=keys[1:], num_steps=1, **given
    )
    np.testing.assert_allclose(again.images, result.images[1:], atol=1e-6)


def test_momentum_differs_and_holds_the_budget():
    plain = attacked("top_k").images
    result = ja.attack_explanation(explain, IMAGES, **options("top_k", momentum=1.0))
    assert np.abs(result.images - IMAGES).max() <= 0.1 + 1e-6
    assert not np.allclose(result.images, plain)


def test_maps_of_zeros_and_nan_stand():
    for constant in (0.0, jnp.nan):
        result = ja.attack_explanation(lambda x: constant * x, IMAGES, k=3, **SMALL)
        np.testing.assert_array_equal(result.images, IMAGES)
        assert not result.success.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "topk"}, "kind: unknown 'topk'; did you mean top_k"),
        ({"k": None}, "k: expected an integer of at least 1, got None"),
        ({"k": 31}, "k: expected at most the 30 pixels of a map, got 31"),
        ({"labels": None}, "labels: expected logits_fn and labels together"),
        ({"logits_fn": None}, "logits_fn: expected logits_fn and labels together"),
        ({"kind": "random_sign"}, "key: this method draws at random"),
        ({"kind": "target"}, "target: expected weights"),
        ({"kind": "target", "target": np.ones((5, 6))}, "target: expected weights"),
        ({"num_steps": 0}, "num_steps: expected"),
        ({"epsilon": -1}, "epsilon: expected a number of at least 0"),
        ({"window": -1}, "window: expected"),
        ({"bounds": (1, 0)}, "bounds: expected"),
    ],
)
def test_misuse(change, message):
    with pytest.raises(ValueError, match=message):
        ja.attack_explanation(explain, IMAGES, **options("top_k") | change)
