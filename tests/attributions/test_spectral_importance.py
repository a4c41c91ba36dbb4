"""I-ASIDE: the golden toy, the axioms in the spectrum, and the library's promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from quick import quick

import jaxattr as ja

GOLDEN = {
    ("released", 4): (
        [0.359899, -0.330535, -0.057482, -0.043885],
        [0.552287, 0, 0.218418, 0.229295],
        0.117624,
    ),
    ("released", 8): (
        [
            *(0.567681, -0.096588, -0.357352, -0.035730),
            *(-0.118622, 0.010863, -0.003584, -0.038671),
        ],
        [
            *(0.331932, 0.093571, 0, 0.115408),
            *(0.085664, 0.132128, 0.126943, 0.114353),
        ],
        0.092165,
    ),
    ("centered", 4): (
        [-0.027813, -0.118597, 0.069706, 0.014558],
        [0.220221, 0, 0.456779, 0.323001],
        0.093485,
    ),
}
# v(S) of the released code, S by bits.
RELEASED_VALUES = [
    *(-1.609438, -1.655965, -1.793950, -1.775643, -1.508899, -1.572603),
    *(-2.690202, -1.687828, -1.692818, -1.634017, -2.047941, -1.753542),
    *(-1.564267, -1.562792, -2.730346, -1.681441),
]


def golden_toy(dtype):
    b, i, j, c = np.ogrid[:8, :32, :32, :3]
    images = np.clip(
        0.5
        + 0.25 * np.sin(0.3 * (b + 1) * i + 0.7 * c)
        + 0.2 * np.cos(0.9 * j * (c + 1) - 0.4 * b),
        0,
        1,
    )
    np.testing.assert_allclose(images.sum(), 12586.468401, atol=1e-6)
    i, j, c, k = np.ogrid[:32, :32, :3, :5]
    weights = jnp.asarray(
        0.2 * np.cos(0.5 * (k + 1) * i + 0.2 * j * (k + 2) + c), dtype
    )

    def logits_fn(x):
        return jnp.einsum("nhwc,hwck->nk", x, weights.astype(x.dtype))

    return logits_fn, jnp.asarray(images, dtype), jnp.arange(8) * 3 % 5


@pytest.mark.parametrize(
    ("convention", "num_bands"),
    [c if c[1] == 4 else pytest.param(*c, marks=pytest.mark.slow) for c in GOLDEN],
)
def test_golden_toy(convention, num_bands):
    values, distribution, score = GOLDEN[convention, num_bands]
    with toys.float64():
        logits_fn, images, labels = golden_toy(jnp.float64)
        found = ja.spectral_importance(
            logits_fn, images, labels, num_bands=num_bands, convention=convention
        )
        assert found.values.dtype == jnp.float64
    np.testing.assert_allclose(found.values, values, atol=1e-6)
    np.testing.assert_allclose(found.distribution, distribution, atol=1e-6)
    np.testing.assert_allclose(found.score, score, atol=1e-6)
    if (convention, num_bands) == ("released", 4):
        np.testing.assert_allclose(found.coalition_values, RELEASED_VALUES, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("convention", ["released", "centered"])
def test_golden_toy_in_float32(convention):
    logits_fn, images, labels = golden_toy(jnp.float32)
    found = ja.spectral_importance(
        logits_fn, images, labels, num_bands=4, convention=convention, batch_size=20
    )
    np.testing.assert_allclose(found.values, GOLDEN[convention, 4][0], atol=1e-5)


SIDE, BANDS = 8, 3
PARAMS = toys.init_smooth(jax.random.key(0), SIDE, SIDE)
logits_fn = functools.partial(toys.smooth_logits, PARAMS)
KEY = jax.random.key(5)


def inputs(n=3):
    return toys.images(n, SIDE, SIDE), toys.labels(n)


@functools.cache
def importance(n=3, **options):
    """Compiled once for each set of options, whichever tests ask for it."""
    run = jax.jit(lambda x, y: compute(logits_fn, x, y, **options))
    return run(*inputs(n))


def compute(model, images, labels, *, seed=None, key=None, **options):
    key = jax.random.key(seed) if key is None and seed is not None else key
    return ja.spectral_importance(
        model, images, labels, num_bands=BANDS, key=key, **options
    )


@pytest.mark.slow
def test_eager_equals_jit():
    images, labels = inputs()
    eager = ja.spectral_importance(logits_fn, images, labels, num_bands=BANDS)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), eager, importance()
    )


def direct(images, labels, masks, coalition):
    """v(S) of each image straight from the definition, in float64."""
    mask = np.asarray(masks, np.float64)[np.asarray(coalition)].sum(0)[None, :, :, None]
    x = np.asarray(images, np.float64)
    filtered = np.fft.ifft2(mask * np.fft.fft2(x, axes=(1, 2)), axes=(1, 2)).real
    logits = np.asarray(logits_fn(jnp.asarray(filtered, jnp.float32)), np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return log_probabilities[np.arange(len(x)), np.asarray(labels)]


def test_coalition_values_are_those_of_the_definition():
    images, labels = inputs()
    found = importance()
    masks = ja.band_masks(SIDE, SIDE, BANDS)
    table = np.stack(
        [direct(images, labels, masks, row) for row in np.asarray(ja.coalitions(BANDS))]
    )
    np.testing.assert_allclose(found.coalition_values, table.mean(1), atol=1e-5)
    np.testing.assert_allclose(
        found.per_image.T, ja.shapley_values(jnp.asarray(table, float)), atol=1e-5
    )


def test_fields_fit_together():
    found = importance()
    assert found.per_image.shape == (3, BANDS)
    np.testing.assert_allclose(found.values, found.per_image.mean(0), atol=1e-7)
    gain = found.coalition_values[-1] - found.coalition_values[0]
    np.testing.assert_allclose(found.values.sum(), gain, atol=1e-6)
    np.testing.assert_allclose(
        found.standard_error, np.std(found.per_image, 0, ddof=1) / 3**0.5, rtol=1e-5
    )
    np.testing.assert_allclose(
        found.distribution, ja.spectral_distribution(found.values), atol=1e-7
    )
    np.testing.assert_allclose(found.score, ja.spectral_score(found.distribution))
    assert np.isinf(importance(1).standard_error).all()


def test_a_band_without_weights_is_a_null_player():
    """A linear model that looks at bands 0 and 2 alone gives band 1 nothing."""
    masks = ja.band_masks(SIDE, SIDE, BANDS)
    _, weights = toys.linear(SIDE, SIDE)
    parts = ja.band_images(jnp.moveaxis(weights, -1, 0), masks)
    for null in range(BANDS):
        seen = sum(parts[i] for i in range(BANDS) if i != null)
        blind = lambda x: jnp.einsum("nhwc,khwc->nk", x, seen)
        found = ja.spectral_importance(blind, *inputs(), num_bands=BANDS)
        assert float(jnp.abs(found.values[null])) < 1e-5
        others = np.delete(np.abs(np.asarray(found.values)), null)
        assert others.min() > 1e-3


def test_energy_is_additive_so_a_band_is_worth_its_energy():
    """Parseval: ``v(S) = ‖x_S‖²`` is a sum over bands."""
    images, labels = inputs()

    def energy(logits_fn, labels):
        return lambda x: jnp.sum(x**2, axis=(-3, -2, -1))

    found = ja.spectral_importance(
        logits_fn, images, labels, num_bands=BANDS, score=energy
    )
    bands = ja.band_images(images, ja.band_masks(SIDE, SIDE, BANDS))
    np.testing.assert_allclose(
        found.per_image, (bands**2).sum((2, 3, 4)).T, rtol=1e-4, atol=1e-4
    )


OPTIONS = [
    {},
    {"norm": "l2"},
    {"absent": "gaussian", "seed": 5},
    {"estimator": "kernel", "num_samples": 20, "seed": 5},
    {"estimator": "permutation", "num_samples": 20, "seed": 5},
]


@pytest.mark.parametrize("options", quick(OPTIONS, {}, OPTIONS[2]), ids=str)
@pytest.mark.parametrize("batch_size", quick([2, 7], 7))
def test_batch_size_changes_nothing_and_is_held(options, batch_size):
    rows = []

    def counting(x):
        rows.append(x.shape[0])
        return logits_fn(x)

    run = jax.jit(
        lambda x, y: compute(counting, x, y, batch_size=batch_size, **options)
    )
    found = run(*inputs())
    np.testing.assert_allclose(
        found.per_image, importance(**options).per_image, atol=2e-6
    )
    assert max(rows) <= batch_size


@pytest.mark.parametrize("absent", quick(["zero", "random", "gaussian"], "random"))
def test_released_in_batches(absent):
    given = {"convention": "released", "absent": absent, "seed": 5}
    whole, parts = importance(**given), importance(batch_size=2, **given)
    np.testing.assert_allclose(parts.per_image, whole.per_image, atol=2e-6)


@pytest.mark.parametrize("options", quick(OPTIONS, {}, OPTIONS[2]), ids=str)
def test_alone_equals_in_a_batch(options):
    images, labels = inputs()
    batch = importance(**options)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(5), jnp.arange(3))
    run = jax.jit(lambda x, y, key: compute(logits_fn, x, y, key=key, **options))
    alone = run(images[1:2], labels[1:2], keys[1:2])
    np.testing.assert_allclose(alone.per_image[0], batch.per_image[1], atol=2e-6)


@pytest.mark.parametrize(
    "axis_type", quick([AxisType.Auto, AxisType.Explicit], AxisType.Explicit)
)
@pytest.mark.parametrize("convention", quick(["centered", "released"], "centered"))
@pytest.mark.slow
def test_sharded_equals_unsharded(axis_type, convention):
    expected = importance(8, convention=convention)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    rows = NamedSharding(mesh, P("data"))
    with jax.set_mesh(mesh):
        run = jax.jit(
            lambda x, y: ja.spectral_importance(
                logits_fn, x, y, num_bands=BANDS, convention=convention, batch_size=16
            )
        )
        found = run(*(jax.device_put(a, rows) for a in inputs(8)))
    assert found.per_image.sharding.spec[0] == "data"
    np.testing.assert_allclose(found.per_image, expected.per_image, atol=2e-6)


@pytest.mark.slow
def test_memory_does_not_grow_with_coalitions():
    """Four times the coalitions, no more temporary memory than their bands and values."""

    def temporary(bands):
        def run(params, x, y):
            model = functools.partial(toys.smooth_logits, params)
            return ja.spectral_importance(model, x, y, num_bands=bands, batch_size=4)

        images, labels = toys.images(2, 32, 32), toys.labels(2)
        params = toys.init_smooth(jax.random.key(0), 32, 32)
        compiled = jax.jit(run).lower(params, images, labels).compile()
        return compiled.memory_analysis().temp_size_in_bytes, images.nbytes

    small, image_bytes = temporary(4)
    large, _ = temporary(6)
    all_coalition_images = 2**6 * image_bytes
    # Two bands more, complex while they are made; 48 coalition images would be 48.
    assert large - small < 10 * image_bytes < all_coalition_images / 4


def test_estimators_agree_with_the_exact_values():
    exact = importance()
    for estimator in ("kernel", "permutation"):
        sampled = importance(estimator=estimator, num_samples=400, seed=5)
        np.testing.assert_allclose(sampled.per_image, exact.per_image, atol=0.02)
        np.testing.assert_allclose(
            sampled.coalition_values,
            exact.coalition_values[jnp.array([0, -1])],
            atol=1e-6,
        )


@pytest.mark.parametrize("absent", quick(["random", "gaussian"], "gaussian"))
def test_absent_bands_come_from_elsewhere(absent):
    """With every band absent a filled image is the filling, whatever the image."""
    found = importance(absent=absent, seed=5)
    other = importance(absent=absent, seed=6)
    assert float(jnp.abs(found.values - other.values).max()) > 1e-6
    zero = importance()
    np.testing.assert_allclose(
        found.coalition_values[-1], zero.coalition_values[-1], atol=1e-5
    )


@pytest.mark.slow
def test_the_released_code_fills_an_empty_coalition_with_nothing():
    images, labels = inputs()
    released = importance(convention="released", absent="random", seed=5)
    nothing = ja.scores.log_probability(logits_fn, labels)(jnp.zeros_like(images))
    np.testing.assert_allclose(released.coalition_values[0], nothing.mean(), atol=1e-6)


@pytest.mark.slow
def test_non_square_images_leave_out_the_outer_bins():
    images, labels = toys.images(2, 6, 10), toys.labels(2)
    model = functools.partial(
        toys.smooth_logits, toys.init_smooth(jax.random.key(0), 6, 10)
    )
    found = ja.spectral_importance(model, images, labels, num_bands=2)
    kept = ja.band_images(images, ja.band_masks(6, 10, 2)).sum(0)
    assert float(jnp.abs(kept - images).max()) > 1e-3
    whole = ja.scores.log_probability(model, labels)(kept)
    np.testing.assert_allclose(found.coalition_values[-1], whole.mean(), atol=1e-5)


def test_under_jit_and_grad():
    images, labels = inputs()

    @jax.jit
    def low(params, images):
        model = functools.partial(toys.smooth_logits, params)
        found = ja.spectral_importance(model, images, labels, num_bands=BANDS)
        return found.values[0]

    np.testing.assert_allclose(low(PARAMS, images), importance().values[0], atol=1e-6)
    gradients = jax.grad(low, (0, 1))(PARAMS, images)
    assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradients))
    assert max(float(jnp.abs(g).max()) for g in jax.tree.leaves(gradients)) > 1e-4


BAD = [
    ({"num_bands": 9}, "num_bands: expected at most 5 bands of 8 x 8 pixels"),
    (
        {"labels": None},
        r"labels: expected integers \(3,\), one label an image, got None",
    ),
    ({"labels": jnp.zeros(2, int)}, r"labels: expected integers \(3,\)"),
    ({"images": jnp.zeros((3, 8, 8), float)}, "images: expected"),
    ({"estimator": "exactly"}, "estimator: unknown 'exactly'; did you mean exact"),
    ({"estimator": "kernel"}, "key: .*needs a typed key"),
    (
        {"estimator": "kernel", "key": KEY},
        "num_samples: expected a number for .*kernel",
    ),
    (
        {"estimator": "kernel", "key": KEY, "num_samples": 3},
        "num_samples: expected at le",
    ),
    (
        {
            "estimator": "kernel",
            "key": KEY,
            "num_samples": 30,
            "convention": "released",
        },
        "estimator: expected 'exact' for 'released'",
    ),
    ({"absent": "noise"}, "absent: unknown 'noise'.*gaussian, random, zero"),
    ({"absent": "random"}, "key: .*needs a typed key"),
    ({"convention": "new"}, "convention: unknown"),
    ({"batch_size": 0}, "batch_size: expected"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input(change, message):
    images, labels = inputs()
    given = {"images": images, "labels": labels, "num_bands": BANDS} | change
    with pytest.raises(ValueError, match=message):
        ja.spectral_importance(logits_fn, **given)


def test_too_many_bands_for_exact_say_what_to_use():
    images = toys.images(1, 64, 64)
    with pytest.raises(ValueError, match="at most 20 for .*exact.*'kernel' takes more"):
        ja.spectral_importance(logits_fn, images, jnp.array([0]), num_bands=21)
