"""Insertion and deletion against plain loops written from the definition."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja
from jaxattr.metrics.ranked_curves import ORDERS, entry_ranks

PARAMS = toys.init_smooth(jax.random.key(4))
model = functools.partial(toys.smooth_logits, PARAMS)
CURVES = {"insertion": ja.insertion_curve, "deletion": ja.deletion_curve}


def ranks(values):
    """0 for the largest; the first of equals first."""
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    rank = np.empty(len(values), int)
    rank[order] = np.arange(len(values))
    return rank


def reference(kind, order, image, attribution, label, num_steps, substrate):
    h, w, c = image.shape
    if order == "channel_sum":
        rank = ranks(attribution.sum(-1).ravel()).reshape(h, w, 1)
    elif order == "joint":
        rank = ranks(attribution.ravel()).reshape(h, w, c)
    else:
        each = [ranks(attribution[..., k].ravel()) for k in range(c)]
        rank = np.min(each, axis=0).reshape(h, w, 1)
    curve = []
    for k in range(num_steps + 1):
        due = np.broadcast_to(rank * num_steps < rank.size * k, image.shape)
        over, under = (image, substrate) if kind == "insertion" else (substrate, image)
        logits = model(jnp.asarray(np.where(due, over, under))[None])[0]
        curve.append(jax.nn.softmax(logits)[label])
    return curve


@pytest.mark.parametrize(
    ("num_steps", "kind", "order"),
    [
        # Fewer steps than pixels, and more.
        case
        if case[0] == 5 or case == (64, "deletion", "channel_sum")
        else pytest.param(*case, marks=pytest.mark.slow)
        for case in itertools.product([5, 30, 64], CURVES, ORDERS)
    ],
)
def test_against_a_loop(kind, order, num_steps):
    images = toys.images()
    # Rounded, so that there are ties.
    attributions = jnp.round(jax.random.normal(jax.random.key(1), images.shape), 1)
    substrate = toys.images(4)[3]
    labels = jnp.array([2, 0, 1])
    curves = CURVES[kind](
        model,
        images,
        attributions,
        labels=labels,
        num_steps=num_steps,
        substrate=substrate,
        order=order,
        batch_size=8,
    )
    assert curves.shape == (3, num_steps + 1)
    for i in range(3):
        expected = reference(
            kind,
            order,
            np.asarray(images[i]),
            np.asarray(attributions[i]),
            labels[i],
            num_steps,
            np.asarray(substrate),
        )
        np.testing.assert_allclose(curves[i], expected, atol=2e-6)


@pytest.mark.parametrize("order", quick(ORDERS, "channel_union"))
@pytest.mark.parametrize("num_steps", quick([2, 7], 7))
def test_fraction_shown_against_masks(order, num_steps):
    attributions = jax.random.normal(jax.random.key(1), (3, 6, 5, 3)).at[1].set(0)
    attributions = attributions.at[2, :, :, 1].set(jnp.nan)
    actual = ja.fraction_shown(attributions, num_steps=num_steps, order=order)
    assert actual.shape == (3, num_steps + 1)
    # A model that shows its input: what is inserted is one, the rest zero.
    shown = []

    def spy(x):
        shown.append(np.asarray(x))
        return jnp.zeros((len(x), 2))

    with jax.disable_jit():
        ja.insertion_curve(
            spy,
            jnp.ones((3, 6, 5, 3)),
            attributions,
            num_steps=num_steps,
            order=order,
            labels=jnp.zeros(3, int),
        )
    masks = np.stack(shown).reshape(num_steps + 1, 3, 6, 5, 3)
    expected = masks.any(-1).mean((2, 3)).T
    np.testing.assert_allclose(actual, expected, atol=1e-7)
    if order == "channel_sum":
        even = [-(-30 * k // num_steps) / 30 for k in range(num_steps + 1)]
        np.testing.assert_allclose(actual, [even] * 3, rtol=1e-6)


def test_fraction_shown_of_independent_channels():
    """1 - (1 - f)³ for channels that know nothing of each other."""
    maps = jax.random.uniform(jax.random.key(0), (4, 64, 64, 3))
    shown = ja.fraction_shown(maps, num_steps=8, order="channel_union").mean(0)
    share = np.arange(9) / 8
    np.testing.assert_allclose(shown, 1 - (1 - share) ** 3, atol=0.01)


def test_fraction_shown_misuse():
    maps = jnp.ones((1, 2, 2, 3))
    for change, message in (
        ({"order": "rise"}, "order: unknown 'rise'"),
        ({"num_steps": 0}, "num_steps: expected an integer"),
        ({"attributions": maps[0, 0]}, "attributions: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            ja.fraction_shown(**{"attributions": maps} | change)


def test_golden_union_example():
    """The published worked example: minimum ranks 0 0 0 1, so masks 0, 3, 4, 4, 4."""
    channels = [[0.9, 0.1, 0.5, 0.3], [0.2, 0.8, 0.4, 0.6], [0.1, 0.2, 0.7, 0.4]]
    attributions = jnp.array(channels).T.reshape(1, 2, 2, 3)
    rank = entry_ranks(attributions, "channel_union")
    np.testing.assert_array_equal(rank.ravel(), [0, 0, 0, 1])
    shown = lambda x: jnp.stack([jnp.sum(x[..., 0], (1, 2)), 0 * x[:, 0, 0, 0]], -1)
    curve = ja.insertion_curve(
        shown,
        jnp.ones((1, 2, 2, 3)),
        attributions,
        num_steps=4,
        order="channel_union",
        labels=jnp.array([0]),
    )
    counts = np.log(curve / (1 - curve))
    np.testing.assert_allclose(counts, [[0, 3, 4, 4, 4]], atol=1e-5)


def test_golden_area():
    area = ja.area_under_curve(jnp.array([[0.0, 0.2, 0.5, 0.9, 1.0], [1.0] * 5]))
    np.testing.assert_allclose(area, [0.525, 1.0], rtol=1e-6)


@pytest.mark.parametrize("kind", CURVES)
def test_ends_are_the_image_and_the_substrate(kind):
    images, labels = toys.images(), jnp.array([2, 0, 1])
    curves = CURVES[kind](model, images, images, labels=labels, num_steps=7)
    ends = [
        ja.scores.probability(model, labels)(x)
        for x in (jnp.zeros_like(images), images)
    ]
    first, last = ends if kind == "insertion" else ends[::-1]
    np.testing.assert_allclose(curves[:, 0], first, rtol=1e-6)
    np.testing.assert_allclose(curves[:, -1], last, rtol=1e-6)


def test_labels_default_to_the_prediction():
    images = toys.images()
    predicted = jnp.argmax(model(images), axis=-1)
    np.testing.assert_array_equal(
        ja.insertion_curve(model, images, images, num_steps=5),
        ja.insertion_curve(model, images, images, num_steps=5, labels=predicted),
    )


@pytest.mark.parametrize("batch_size", quick([1, 2, 3, 10, 1000], 2, 1000))
def test_batch_size_changes_nothing_and_is_held(batch_size):
    rows = []

    def counting(x):
        rows.append(x.shape[0])
        return model(x)

    images = toys.images()
    expected = ja.insertion_curve(model, images, images, num_steps=9)
    actual = ja.insertion_curve(
        counting, images, images, num_steps=9, batch_size=batch_size
    )
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    assert max(rows) <= batch_size


def test_one_channel_maps_rank_pixels_and_constant_maps_go_row_by_row():
    images = toys.images()
    flat = jnp.ones((3, 6, 5, 1))
    by_row = -jnp.arange(30.0).reshape(1, 6, 5, 1) * flat
    for order in ORDERS[:2]:
        np.testing.assert_array_equal(
            ja.insertion_curve(model, images, flat, num_steps=6, order=order),
            ja.insertion_curve(model, images, by_row, num_steps=6, order=order),
        )


def test_memory_does_not_grow_with_the_number_of_steps():
    def temporary(num_steps):
        run = lambda x, a: ja.insertion_curve(
            functools.partial(toys.smooth_logits, PARAMS),
            x,
            a,
            num_steps=num_steps,
            batch_size=16,
        )
        x = jnp.ones((2, 6, 5, 3))
        return jax.jit(run).lower(x, x).compile().memory_analysis().temp_size_in_bytes

    # 30 pixels: the curve itself is 4 bytes a step and image.
    assert temporary(1500) - temporary(15) < 1485 * 2 * 4 * 4


def test_jit_and_float64():
    with toys.float64():
        images = toys.images(dtype=jnp.float64)
        curve = jax.jit(lambda x: ja.deletion_curve(model, x, x, num_steps=3))(images)
        assert curve.dtype == jnp.float64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"attributions": np.ones((3, 5, 6, 3), np.float32)},
            "attributions: expected sh",
        ),
        ({"attributions": np.ones((6, 5), np.float32)}, "attributions: expected"),
        ({"images": np.ones((6, 5, 3), np.float32)}, "images: expected"),
        ({"labels": np.zeros(4, int)}, r"labels: expected integers \(3,\)"),
        ({"order": "rise"}, "order: unknown 'rise'; known: channel_sum"),
        ({"num_steps": 1}, "num_steps: expected an integer of at least 2"),
        ({"substrate": np.zeros(3)}, "substrate: expected a number"),
        ({"batch_size": 0}, "batch_size: expected"),
    ],
)
@pytest.mark.parametrize("kind", CURVES)
def test_misuse(kind, change, message):
    given = {"images": toys.images(), "attributions": toys.images()} | change
    with pytest.raises(ValueError, match=message):
        CURVES[kind](model, **given)


@pytest.mark.parametrize(
    "curves", [np.ones(5, np.float32), np.ones((2, 1), np.float32)]
)
def test_area_misuse(curves):
    with pytest.raises(ValueError, match="curves: expected"):
        ja.area_under_curve(curves)
