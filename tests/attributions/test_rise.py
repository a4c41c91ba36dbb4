"""RISE: its masks, its expectation on a linear model, its standard error, its memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja
from jaxattr.attributions.rise import draw_mask

SIZE, CELLS, P = (6, 5), (3, 2), 0.3
X, Y = toys.images(2), toys.labels(2)
LINEAR, WEIGHTS = toys.linear()
KEYS = jax.random.split(jax.random.key(5), 2)


def enlarging(side, cells, start):
    """Weights of a grid enlarged to (cells + 1)·⌈side/cells⌉ pixels, cut at ``start``."""
    pixels = -(-side // cells)
    weights = np.zeros((side, cells))
    for i in range(side):
        source = (start + i + 0.5) * cells / ((cells + 1) * pixels) - 0.5
        source = min(max(source, 0), cells - 1)
        low = int(np.floor(source))
        high = min(low + 1, cells - 1)
        weights[i, low] += 1 - (source - low)
        weights[i, high] += source - low
    return weights


def second_moment():
    """``E[m_p m_q]`` ``(H, W, H, W)``, over cells and places."""
    height, width = SIZE
    starts = [range(-(-side // cells)) for side, cells in zip(SIZE, CELLS)]
    mean = np.zeros((*SIZE, *SIZE))
    for top in starts[0]:
        for left in starts[1]:
            rows = enlarging(height, CELLS[0], top)
            columns = enlarging(width, CELLS[1], left)
            weights = np.einsum("ia,jb->ijab", rows, columns)
            same = np.einsum("ijab,klab->ijkl", weights, weights)
            mean += P**2 + P * (1 - P) * same
    return mean / (len(starts[0]) * len(starts[1]))


@functools.cache
def found(num_samples=4000):
    run = jax.jit(
        lambda x, y, keys: ja.rise(
            *(LINEAR, x, y),
            key=keys,
            num_samples=num_samples,
            grid=CELLS,
            probability=P,
            substrate=0.1,
            batch_size=100,
            return_standard_error=True,
        )
    )
    return run(X, Y, KEYS)


def test_masks_are_grids_enlarged_and_cut_out():
    """Each is the bilinear image of some grid of zeros and ones at some place."""
    keys = jax.random.split(jax.random.key(0), 200)
    draw = lambda key: draw_mask(key, SIZE, CELLS, P, jnp.float32)
    masks = np.asarray(jax.jit(jax.vmap(draw))(keys))
    places = set()
    for mask in masks:
        errors = {}
        for top in range(2):
            for left in range(3):
                rows, columns = enlarging(6, 3, top), enlarging(5, 2, left)
                weights = np.kron(rows, columns)
                cells = np.linalg.lstsq(weights, mask.ravel(), rcond=None)[0].round()
                errors[top, left] = np.abs(weights @ cells - mask.ravel()).max()
        fitting = [place for place, error in errors.items() if error < 1e-5]
        assert fitting
        places |= set(fitting) if len(fitting) == 1 else set()
    assert len(places) == 6
    np.testing.assert_allclose(masks.mean(), P, atol=0.03)


def test_the_expectation_of_a_linear_model():
    maps, error = found()
    moment = second_moment()
    for n, label in enumerate(Y):
        w = np.asarray(WEIGHTS, np.float64)[..., label]
        difference = (w * (np.asarray(X[n], np.float64) - 0.1)).sum(-1)
        constant = 0.1 * w.sum() + float(label)
        expected = np.einsum("pqij,pq->ij", moment, difference) / P + constant
        z = (np.asarray(maps[n, ..., 0]) - expected) / np.asarray(error[n, ..., 0])
        assert np.abs(z).max() < 4.5
        assert 0.3 < np.sqrt((z**2).mean()) < 2
        # The error is small beside what is to be seen: the test would notice.
        assert float(error[n].max()) < 0.2 * np.ptp(expected)


@pytest.mark.slow
def test_the_standard_error_is_that_of_other_keys():
    run = jax.jit(
        jax.vmap(
            lambda key: ja.rise(
                *(LINEAR, X, Y),
                key=key,
                num_samples=20,
                grid=CELLS,
                return_standard_error=True,
            )
        )
    )
    maps, errors = jnp.moveaxis(run(jax.random.split(jax.random.key(9), 300)), 1, 0)
    spread = np.asarray(maps).std(0, ddof=1)
    typical = np.sqrt((np.asarray(errors) ** 2).mean(0))
    np.testing.assert_allclose(typical, spread, rtol=0.25)


def test_images_draw_masks_of_their_own_and_models_share_them():
    """The same masks: the maps of two models differ as the models do."""
    both = jnp.stack([X[0], X[0]])

    @jax.jit
    def run(scale, constant):
        model = lambda x: scale * LINEAR(x) + constant
        return ja.rise(model, both, Y * 0, key=KEYS, num_samples=6, grid=2)

    maps, masks = run(1.0, 0.0), run(0.0, 1.0)
    assert float(jnp.abs(maps[0] - maps[1]).max()) > 0
    np.testing.assert_allclose(run(2.0, 1.0), 2 * maps + masks, rtol=1e-4)


@pytest.mark.parametrize("name", quick(["rise", "lime", "kernel_shap"], "rise"))
def test_memory_does_not_grow_with_the_masks(name):
    def temporary(num_samples):
        options = {"num_samples": num_samples}
        if name != "rise":
            options["segments"] = (8, 8)
        images = jnp.zeros((2, 64, 64, 3))
        run = lambda x, key: getattr(ja, name)(
            lambda x: jnp.mean(x, (1, 2)), x, jnp.zeros(2, int), key=key, **options
        )
        program = jax.jit(run).lower(images, jax.random.key(0)).compile()
        return program.memory_analysis().temp_size_in_bytes

    few, many = temporary(140), temporary(1140)
    # A number for each sample and image is kept, none of the masks nor coalitions.
    assert many - few <= 40 * 1000, "bytes of a thousand samples"


BAD = [
    ({"grid": 7}, "grid: expected at most the image's 6 x 5 pixels, got 7"),
    ({"grid": (1, 2, 3)}, r"grid: expected a number of cells, or \(rows, columns\)"),
    ({"probability": 0.0}, "probability: expected a number above zero"),
    ({"probability": 1.5}, "probability: expected a number between 0 and 1"),
    ({"num_samples": 0}, "num_samples: expected an integer of at least 1"),
    (
        {"num_samples": 1, "return_standard_error": True},
        "num_samples: expected an integer of at least 2",
    ),
    ({"substrate": 2.0}, "substrate: expected values within the bounds"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input(change, message):
    given = {"key": KEYS, "num_samples": 4, "grid": 2} | change
    with pytest.raises(ValueError, match=message):
        ja.rise(LINEAR, X, Y, **given)
