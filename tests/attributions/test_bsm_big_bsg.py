"""BSM, BIG and BSG: closed forms on linear models, completeness, one search for many."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja

KEY = jax.random.key(31)
PARAMS = toys.init_smooth(jax.random.key(2))
model = functools.partial(toys.smooth_logits, PARAMS)


def predicted(images):
    return jnp.argmax(model(images), -1)


@functools.cache
def found():
    images = toys.images()
    labels = predicted(images)
    return jax.jit(lambda x: ja.nearest_boundary(model, x, labels, search="deepfool"))(
        images
    )


def test_a_linear_model_in_closed_form():
    """x - x' = (w·x + b) w / ‖w‖², BSM = w, BIG = w ⊙ (x - x'), BSG = w."""
    rng = np.random.default_rng(8)
    images, w = rng.uniform(0.3, 0.7, (3, 3, 3, 3)), rng.normal(size=(3, 3, 3))
    value = (images * w).sum((1, 2, 3))
    delta = (value / (w**2).sum())[:, None, None, None] * w
    weights = jnp.asarray(w, jnp.float32)

    def logits_fn(x):
        value = jnp.sum(x * weights[None], (1, 2, 3))
        return jnp.stack([value, -value], -1)

    labels = jnp.zeros(3, int)
    given = (logits_fn, jnp.asarray(images, jnp.float32), labels)
    point = jax.jit(lambda x: ja.nearest_boundary(given[0], x, labels, search="fab"))(
        given[1]
    )
    w_of_each = np.broadcast_to(w, images.shape)
    found = jax.jit(
        lambda point: {
            "bsm": ja.bsm(*given, search=point),
            "normal": ja.bsm(*given, search=point, score=ja.scores.margin),
            "big": ja.big(*given, search=point, num_steps=3),
            "influence": ja.big(
                *given, search=point, num_steps=3, multiply_by_delta=False
            ),
            "bsg": ja.bsg(*given, search=point, key=KEY, num_samples=3),
        }
    )(point)
    np.testing.assert_allclose(found["bsm"], w_of_each, rtol=1e-5)
    np.testing.assert_allclose(found["normal"], 2 * w_of_each, rtol=1e-5)
    np.testing.assert_allclose(found["big"], delta * w, atol=1e-5)
    np.testing.assert_allclose(found["influence"], w_of_each, rtol=1e-5)
    np.testing.assert_allclose(found["bsg"], w_of_each, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "order"),
    [
        pytest.param("trapezoid", 2, marks=pytest.mark.slow),
        pytest.param("midpoint", 2, marks=pytest.mark.slow),
        ("gauss-legendre", 9),
    ],
)
def test_big_is_complete_at_the_order_of_its_rule(rule, order):
    """Σ BIG = f(x) - f(x'), the error of a rule falling as it should."""
    with toys.float64():
        images = toys.images(dtype=jnp.float64)
        labels = predicted(images)
        boundary = jax.jit(
            lambda x: ja.nearest_boundary(model, x, labels, search="deepfool")
        )(images)
        assert boundary.found.all()
        score = ja.scores.logit(model, labels)
        expected = score(images) - score(boundary.points)
        errors = []
        for num_steps in (2, 4):
            maps = ja.big(
                model, images, labels, search=boundary, num_steps=num_steps, rule=rule
            )
            errors.append(np.abs(jnp.sum(maps, (1, 2, 3)) - expected).max())
        assert errors[0] > 1e-5
        assert errors[1] < errors[0] / 0.8 / 2**order


@pytest.mark.parametrize("method", quick([ja.big, ja.bsg], ja.big))
def test_search_once_attribute_many(method):
    """A BoundaryPoint found before gives the maps of the search that found it."""
    images = toys.images()
    labels = predicted(images)
    options = {"key": KEY, "num_samples": 3} if method is ja.bsg else {}
    run = jax.jit(
        lambda search: method(model, images, labels, search=search, **options)
    )
    searching = jax.jit(
        lambda: method(model, images, labels, search="deepfool", **options)
    )
    np.testing.assert_allclose(run(found()), searching(), atol=1e-5)


@pytest.mark.slow
def test_each_is_its_plain_method_at_the_point():
    images, boundary = toys.images(), found()
    labels = predicted(images)
    np.testing.assert_array_equal(
        ja.bsm(model, images, labels, search=boundary, score=ja.scores.log_probability),
        ja.saliency(model, boundary.points, labels, score=ja.scores.log_probability),
    )
    np.testing.assert_array_equal(
        ja.big(model, images, labels, search=boundary, num_steps=4),
        ja.integrated_gradients(
            model, images, labels, baseline=boundary.points, num_steps=4
        ),
    )
    # The first of two halves of a key is for the search, the second for the noise.
    keys = jax.random.split(KEY, 3)
    np.testing.assert_array_equal(
        ja.bsg(model, images, labels, key=keys, search=boundary, num_samples=4),
        ja.smoothgrad(
            model,
            boundary.points,
            labels,
            key=jax.vmap(lambda key: jax.random.split(key)[1])(keys),
            num_samples=4,
        ),
    )


@pytest.mark.slow
def test_nothing_found_is_explained_by_nothing():
    """NaN, whatever the method; the maps of other images are as they were."""
    images, boundary = toys.images(), found()
    labels = predicted(images)
    missed = boundary._replace(
        points=boundary.points.at[1].set(images[1]),
        distances=boundary.distances.at[1].set(jnp.inf),
        found=boundary.found.at[1].set(False),
    )
    for method, options in (
        (ja.bsm, {}),
        (ja.big, {"num_steps": 2}),
        (ja.big, {"num_steps": 2, "multiply_by_delta": False}),
        (ja.bsg, {"num_samples": 2, "key": KEY}),
    ):
        run = functools.partial(method, model, images, labels, **options)
        maps, all_found = run(search=missed), run(search=boundary)
        assert float(jnp.abs(all_found[1]).max()) > 0
        np.testing.assert_array_equal(maps, all_found.at[1].set(jnp.nan))


def test_a_model_of_one_class_has_no_map():
    images, labels = toys.images(), jnp.zeros(3, int)
    constant = lambda x: jnp.array([[1.0, 0.0]]) + 1e-6 * jnp.mean(x, (1, 2))[:, :1]
    maps = jax.jit(lambda x: ja.bsm(constant, x, labels, search="fab"))(images)
    assert np.isnan(maps).all()


@pytest.mark.slow
def test_the_released_search_by_its_name():
    images = toys.images()
    labels = predicted(images)
    search = ja.BoundarySearch.released()
    boundary = ja.nearest_boundary(model, images, labels, key=KEY, search=search)
    assert boundary.found.any()
    np.testing.assert_array_equal(
        ja.bsm(model, images, labels, key=KEY, search="released"),
        ja.bsm(model, images, labels, search=boundary),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "search",
    [
        pytest.param(ja.BoundarySearch.released(), marks=pytest.mark.slow),
        # So few bisections that the side is seen.
        ja.BoundarySearch(
            "fab", norm="linf", num_bisections=3, side="inside", leave="label"
        ),
    ],
)
def test_options_of_the_search_reach_it(search):
    images = toys.images()
    labels = predicted(images).at[1].add(1) % 4
    given = (model, images, labels)
    maps, other, boundary = jax.jit(
        lambda: (
            ja.big(*given, key=KEY, num_steps=2, search=search),
            ja.big(*given, key=KEY, num_steps=2, search="fab"),
            ja.nearest_boundary(*given, key=KEY, search=search),
        )
    )()
    expected = ja.big(*given, num_steps=2, search=boundary)
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    assert float(jnp.nanmax(jnp.abs(maps - other))) > 1e-5


@pytest.mark.slow
def test_the_derivative_of_big_through_its_own_search():
    """Against finite differences with the ray held: the point is found again on it."""
    with toys.float64():
        params = jax.tree.map(lambda p: p.astype(jnp.float64), PARAMS)
        images = toys.images(2, dtype=jnp.float64)
        labels = jnp.argmax(toys.smooth_logits(params, images), -1)
        search = {"search": ja.BoundarySearch("deepfool", num_bisections=45)}
        probe = jax.random.normal(jax.random.key(9), images.shape, jnp.float64)

        def total(params, images, **options):
            logits_fn = functools.partial(toys.smooth_logits, params)
            maps = ja.big(logits_fn, images, labels, num_steps=4, **options)
            return jnp.sum(maps * probe)

        boundary = jax.jit(
            lambda x: ja.nearest_boundary(
                functools.partial(toys.smooth_logits, params), x, labels, **search
            )
        )(images)
        assert boundary.found.all()
        ray = boundary.points - images

        @jax.jit
        def with_the_ray_held(params, images):
            logits_fn = functools.partial(toys.smooth_logits, params)
            margin = ja.scores.margin(logits_fn, labels)
            point = lambda share: images + share[:, None, None, None] * ray

            def halve(_, ends):
                low, high = ends
                middle = (low + high) / 2
                inside = margin(point(middle)) > 0
                return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

            ends = (jnp.full(2, 0.9), jnp.full(2, 1.1))
            points = point(jax.lax.fori_loop(0, 50, halve, ends)[0])
            return total(params, images, search=boundary._replace(points=points))

        given = (params, images)
        gradients = jax.jit(jax.grad(functools.partial(total, **search), (0, 1)))(
            *given
        )
        for argument in (0, 1):
            way = jax.tree.map(
                lambda x: jax.random.normal(jax.random.key(x.size), x.shape, x.dtype),
                given[argument],
            )
            ahead, behind = (
                with_the_ray_held(
                    *given[:argument],
                    jax.tree.map(lambda x, d: x + h * d, given[argument], way),
                    *given[argument + 1 :],
                )
                for h in (1e-6, -1e-6)
            )
            slope = sum(
                jnp.vdot(g, d)
                for g, d in zip(
                    *map(jax.tree.leaves, (gradients[argument], way)), strict=True
                )
            )
            assert abs(float(slope)) > 1e-2
            np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, rtol=1e-5)


def test_misuse():
    images, labels = toys.images(), toys.labels()
    other = jax.tree.map(lambda x: x[:2], found())
    for options, message in [
        ({"search": other}, "search: expected a BoundaryPoint of images"),
        ({"search": []}, "search: expected at least one member"),
        ({"search": "releesed"}, "search: unknown 'releesed'"),
        ({}, "key: this method draws at random"),
    ]:
        for method in (ja.bsm, ja.big):
            with pytest.raises(ValueError, match=message):
                method(model, images, labels, **options)
    with pytest.raises(ValueError, match="key: this method draws"):
        ja.bsg(model, images, labels, search="fab")
