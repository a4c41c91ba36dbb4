"""Sensitivity-n and MuFidelity: exact maps of linear models, and loops over the sets."""

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
IMAGES, LABELS = toys.images(), jnp.array([2, 0, 1])
MAPS = jax.random.normal(jax.random.key(1), IMAGES.shape)
KEY = jax.random.key(3)
METRICS = {
    "sensitivity_n": functools.partial(ja.sensitivity_n, n=4),
    "mu_fidelity": functools.partial(ja.mu_fidelity, grid=3, fraction=0.5),
}


def taken(name, values):
    """A set of pixels ``(6, 5)`` from uniform draws: the largest of them."""
    if name == "sensitivity_n":
        return (values >= np.sort(values)[-4]).reshape(6, 5)
    cells = (values >= np.sort(values)[-4]).reshape(3, 3)  # half of nine, at most
    return cells[np.arange(6) * 3 // 6][:, np.arange(5) * 3 // 5]


def pearson(a, b):
    return np.corrcoef(a, b)[0, 1]


def ranks(values):
    return np.argsort(np.argsort(values))


@pytest.mark.parametrize("rows", quick([1, 7], 7))
@pytest.mark.parametrize("name", METRICS)
def test_against_a_loop(name, rows):
    options = {"key": KEY, "num_samples": 9, "substrate": 0.2, "batch_size": rows}
    options["score"] = "probability"
    run = functools.partial(METRICS[name], model, labels=LABELS, **options)
    found = jax.jit(run)(IMAGES, MAPS)
    for i in range(3):
        sums, losses = [], []
        image, label = np.asarray(IMAGES[i]), LABELS[i]
        for s in range(9):
            key = jax.random.fold_in(jax.random.fold_in(KEY, i), s)
            size = 30 if name == "sensitivity_n" else 9
            which = taken(name, np.asarray(jax.random.uniform(key, (size,))))
            assert 0 < which.sum() < 30
            without = np.where(which[..., None], np.float32(0.2), image)
            values = jax.nn.softmax(model(jnp.stack([image, without])))[:, label]
            sums.append(np.asarray(MAPS[i])[which].sum())
            losses.append(values[0] - values[1])
        if name == "mu_fidelity":
            sums, losses = ranks(sums), ranks(losses)
        np.testing.assert_allclose(found[i], pearson(sums, losses), atol=1e-4)


@pytest.mark.parametrize("name", quick(METRICS, "sensitivity_n"))
def test_the_exact_map_of_a_linear_model_is_perfect(name):
    logits_fn, weights = toys.linear()
    exact = jnp.moveaxis(weights, -1, 0)[LABELS] * (IMAGES - 0.3)
    options = {"labels": LABELS, "key": KEY, "num_samples": 25, "substrate": 0.3}
    run = jax.jit(functools.partial(METRICS[name], logits_fn, IMAGES, **options))
    np.testing.assert_allclose(run(exact), 1, atol=2e-3)
    np.testing.assert_allclose(run(-7 * exact), -1, atol=2e-3)
    np.testing.assert_allclose(run(exact.sum(-1)), 1, atol=2e-3)
    assert np.abs(run(MAPS)).max() < 0.9


def test_the_finest_grid_is_single_pixels_and_a_set_has_one_at_least():
    options = {"labels": LABELS, "key": KEY, "num_samples": 20}
    expected = jax.jit(functools.partial(ja.sensitivity_n, model, n=1, **options))
    options |= {"grid": 9, "fraction": 0.01, "correlation": "pearson"}
    found = jax.jit(functools.partial(ja.mu_fidelity, model, **options))
    np.testing.assert_allclose(
        found(IMAGES, MAPS), expected(IMAGES, MAPS), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", quick(METRICS, "mu_fidelity"))
def test_what_does_not_vary_is_nan(name):
    options = {"labels": LABELS, "key": KEY, "num_samples": 5}
    run = functools.partial(METRICS[name], model, IMAGES, **options)
    assert np.isnan(run(jnp.zeros((3, 6, 5)))).all()
    constant = lambda x: 0 * x[:, 0, 0] + 1
    assert np.isnan(METRICS[name](constant, IMAGES, MAPS, **options)).all()
    broken = run(MAPS.at[1, 0, 0].set(jnp.nan))
    assert np.isfinite(broken[0])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("sensitivity_n", {"n": 30}, "n: expected fewer than the 30 pixels"),
        ("sensitivity_n", {"n": 0}, "n: .*at least 1"),
        ("sensitivity_n", {"num_samples": 2}, "num_samples: .*at least 3"),
        ("sensitivity_n", {"key": None}, "key: .*needs a typed key"),
        ("mu_fidelity", {"fraction": 1.0}, "fraction: .*below 1"),
        ("mu_fidelity", {"fraction": 0}, "fraction: .*above 0"),
        ("mu_fidelity", {"grid": 1}, "grid: .*at least two cells"),
        ("mu_fidelity", {"correlation": "rank"}, "correlation: unknown 'rank'"),
        ("mu_fidelity", {"attributions": MAPS[:, :5]}, "attributions: .*shape"),
        ("mu_fidelity", {"labels": jnp.array([0, 1, 9])}, "labels: .*0 to 3, got 9"),
    ],
)
def test_misuse(name, change, message):
    given = {"images": IMAGES, "attributions": MAPS, "labels": LABELS, "key": KEY}
    with pytest.raises(ValueError, match=message):
        METRICS[name](model, **given | change)
