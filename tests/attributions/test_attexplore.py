"""AttEXplore against a slow loop that replays its draws, and in closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import toys
from quick import quick

import jaxattr as ja
from jaxattr import perturbations, steps

KEY = jax.random.key(11)
PARAMS = toys.init_smooth(jax.random.key(2), 12, 12)
EPSILON = 16 / 255
QUIET = {"sigma": 0.0, "rho": 0.0, "diversity_probability": 0.0, "smoothing_size": 0}


def model(x):
    return toys.smooth_logits(PARAMS, x)


def cross_entropy(x, label, stack):
    z = model(x[None])[0]
    for _ in range(stack - 1):
        z = jax.nn.softmax(z)
    return -jax.nn.log_softmax(z)[label]


def reference(
    image, label, key, *, num_steps, num_samples, sigma, rho, decay, sign, stack, size
):
    """One image, from the algorithm box, in float64 numpy but for the gradients.

    The draws are replayed: keys are folded with step and sample, split for place and
    diversity, then for noise and gain; the noise is drawn in the cosine domain.
    """
    shape = image.shape
    gradient = jax.jit(
        jax.grad(
            lambda z, matrices: cross_entropy(
                jnp.einsum("ph,qw,hwc->pqc", *matrices, z), label, stack
            )
        )
    )
    kernel = np.outer(steps.gaussian_kernel(size), steps.gaussian_kernel(size))
    x, m, total = image.copy(), np.zeros(shape), np.zeros(shape)
    for t in range(num_steps):
        g = np.zeros(shape)
        for n in range(num_samples):
            sample_key = jax.random.fold_in(jax.random.fold_in(key, t), n)
            at_key, through_key = jax.random.split(sample_key)
            noise_key, gain_key = jax.random.split(at_key)
            noise = sigma * jax.random.normal(noise_key, shape, float)
            gain = jax.random.uniform(gain_key, shape, float, 1 - rho, 1 + rho)
            spectrum = scipy.fft.dctn(x, axes=(0, 1), norm="ortho") + noise
            z = scipy.fft.idctn(spectrum * gain, axes=(0, 1), norm="ortho")
            # D is linear: its matrices, read off the identity image.
            rows = diversity_matrix(through_key, shape[0], "rows")
            columns = diversity_matrix(through_key, shape[1], "columns")
            g += np.asarray(gradient(z, (rows, columns))) / num_samples
        for c in range(shape[2]):
            g[..., c] = scipy.ndimage.convolve(g[..., c], kernel, mode="constant")
        m = decay * m + g / np.abs(g).mean()
        moved = x + sign * EPSILON / num_steps * np.sign(m)
        moved = np.clip(image + np.clip(moved - image, -EPSILON, EPSILON), 0, 1)
        total += sign * (moved - x) * m
        x = moved
    return total


def diversity_matrix(key, side, which):
    applied, size, top, left = jax.random.uniform(key, (4,), float)
    if applied >= 0.5:
        return jnp.eye(side)
    offset = top if which == "rows" else left
    return perturbations._diversity_matrix(side, 1.15, size, offset)


@pytest.mark.parametrize(
    ("direction", "stack", "decay"),
    [pytest.param("descend", 1, 1.0, marks=pytest.mark.slow), ("ascend", 3, 0.7)],
)
def test_against_the_algorithm_in_a_loop(direction, stack, decay):
    """To 1e-6 of the map's maximum, in float64, with all parts on and clipping."""
    with toys.float64():
        # Some pixels at their bounds, where the box takes part of the step.
        images = jnp.round(toys.images(2, 12, 12, dtype=jnp.float64) * 1.4 - 0.2, 1)
        images, labels = jnp.clip(images, 0, 1), toys.labels(2)
        keys = jax.random.split(KEY, 2)
        run = functools.partial(
            ja.attexplore,
            num_steps=3,
            num_samples=4,
            decay=decay,
            direction=direction,
            softmax_stack=stack,
        )
        maps = jax.jit(lambda x, y, k: run(model, x, y, key=k))(images, labels, keys)
        for i in range(2):
            expected = reference(
                np.asarray(images[i]),
                labels[i],
                keys[i],
                num_steps=3,
                num_samples=4,
                sigma=16 / 255,
                rho=0.5,
                decay=decay,
                sign=1 if direction == "ascend" else -1,
                stack=stack,
                size=7,
            )
            np.testing.assert_allclose(maps[i], expected, atol=1e-6 * expected.max())


@pytest.mark.parametrize("direction", quick(["descend", "ascend"], "descend"))
@pytest.mark.slow
def test_without_randomness_it_is_the_path_of_mi_fgsm(direction):
    """And where nothing clips the map is step · Σₜ |mₜ|."""
    sign = {"descend": -1, "ascend": 1}[direction]
    with toys.float64():
        images, labels = toys.images(3, 12, 12, dtype=jnp.float64), toys.labels()
        run = functools.partial(
            ja.attexplore, model, key=KEY, num_steps=5, direction=direction, **QUIET
        )
        maps = jax.jit(run)(images, labels)
        gradient = jax.jit(
            jax.grad(lambda x: jnp.sum(ja.scores.cross_entropy(model, labels)(x)))
        )
        x, m, expected = np.asarray(images), 0, 0
        for _ in range(5):
            g = np.asarray(gradient(x))
            m = m + g / np.abs(g).mean((1, 2, 3), keepdims=True)
            x = x + sign * EPSILON / 5 * np.sign(m)
            expected = expected + EPSILON / 5 * np.abs(m)
    np.testing.assert_allclose(maps, expected, atol=1e-6 * expected.max())


def test_linear_score_in_closed_form():
    """ε (T + 1)/2 · |w| / mean|w|: the direction never turns and momentum adds up.

    With two classes the cross-entropy's gradient is parallel to w₁ - w₀.
    """
    with toys.float64():
        logits_fn, weights = toys.linear(num_classes=2, dtype=jnp.float64)
        images = toys.images(dtype=jnp.float64) * 0.5 + 0.25
        maps = ja.attexplore(
            logits_fn, images, jnp.array([0, 1, 0]), key=KEY, num_steps=4, **QUIET
        )
    w = np.abs(weights[..., 1] - weights[..., 0])
    expected = np.broadcast_to(EPSILON * 5 / 2 * w / w.mean(), images.shape)
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


@pytest.mark.slow
def test_maps_are_non_negative_and_zero_where_the_box_forbids_to_move():
    images = jnp.where(toys.images(3, 12, 12) > 0.5, 1.0, 0.0)
    maps = ja.attexplore(
        model, images, toys.labels(), key=KEY, num_steps=3, num_samples=2
    )
    assert maps.min() >= 0
    blocked = np.mean(np.asarray(maps) == 0)
    assert 0.2 < blocked < 0.8


@pytest.mark.slow
def test_descend_raises_the_label_s_probability_and_ascend_lowers_it():
    """Seen through the images the model is asked about."""
    images, labels = toys.images(2, 12, 12), toys.labels(2)
    probability = jax.jit(ja.scores.probability(model, labels))
    final = {}
    for direction in ("descend", "ascend"):
        seen = []

        def watching(x):
            jax.debug.callback(lambda x: seen.append(np.asarray(x)), x)
            return model(x)

        ja.attexplore(
            watching,
            images,
            labels,
            key=KEY,
            num_steps=6,
            num_samples=1,
            direction=direction,
            **QUIET,
        ).block_until_ready()
        jax.effects_barrier()
        final[direction] = probability(seen[-1])
        assert np.abs(seen[-1] - images).max() <= EPSILON + 1e-5
    assert (final["descend"] > probability(images)).all()
    assert (final["ascend"] < probability(images)).all()


@pytest.mark.slow
def test_it_makes_as_many_passes_as_it_needs_and_no_more():
    """T·N gradients of one row each: the released code makes T more than it uses."""
    rows = []

    def counting(x):
        jax.debug.callback(lambda x: rows.append(len(x)), x)
        return model(x)

    ja.attexplore(
        counting,
        toys.images(1, 12, 12),
        toys.labels(1),
        key=KEY,
        num_steps=2,
        num_samples=3,
    ).block_until_ready()
    jax.effects_barrier()
    assert sum(rows) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "up"}, "direction: unknown 'up'; known: ascend, descend"),
        ({"num_steps": 0}, "num_steps: expected an integer of at least 1"),
        ({"num_samples": 0}, "num_samples: expected an integer of at least 1"),
        ({"softmax_stack": 0}, "softmax_stack: expected an integer of at least 1"),
        ({"epsilon": -1}, "epsilon: expected a number of at least 0"),
        (
            {"diversity_probability": 2},
            "diversity_probability: .*between 0 and 1, got 2",
        ),
        ({"smoothing_size": 4}, "smoothing_size: expected an odd"),
        ({"bounds": (1.0, 0.0)}, "bounds: expected a pair .*low < high"),
    ],
)
def test_misuse(options, message):
    with pytest.raises(ValueError, match=message):
        ja.attexplore(model, toys.images(3, 12, 12), toys.labels(), key=KEY, **options)
