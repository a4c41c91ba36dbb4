"""The derivative of the boundary: closed forms, and finite differences of the equation."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja
from jaxattr.boundaries import implicit

PARAMS = toys.init_smooth(jax.random.key(2))
MODES = ("ray", "nearest")
IN_UNITS = pytest.mark.parametrize(
    ("gradient", "units"),
    [
        pytest.param("ray", "pixels", marks=pytest.mark.slow),
        ("nearest", "pixels"),
        pytest.param("ray", ((0.4,) * 3, (0.25,) * 3), marks=pytest.mark.slow),
    ],
)


def in_units(units, **options):
    """DeepFool in the units of a released search."""
    released = ja.BoundarySearch.released(units=units, **options)
    members = (ja.boundaries.deepfool(),)
    return dataclasses.replace(released, members=members, num_bisections=20)


def linear_logits(params, x):
    value = jnp.sum(x * params["w"][None], (1, 2, 3)) + params["b"]
    return jnp.stack([value, -value], -1)


@functools.cache
def linear_case():
    rng = np.random.default_rng(3)
    images = jnp.asarray(rng.uniform(0.3, 0.7, (3, 3, 2, 3)))
    params = {"w": jnp.asarray(rng.normal(size=(3, 2, 3))), "b": jnp.asarray(-0.2)}
    return params, images


def closed_form(params, images):
    """``|w·x + b| / ‖w‖``"""
    value = jnp.sum(images * params["w"][None], (1, 2, 3)) + params["b"]
    return jnp.abs(value) / jnp.sqrt(jnp.sum(params["w"] ** 2))


def distances(params, images, *, gradient, **options):
    """Closes over the parameters, as a user's loss does."""
    found = ja.nearest_boundary(
        functools.partial(linear_logits, params),
        images,
        jnp.zeros(len(images), int),
        search=ja.BoundarySearch("deepfool", num_bisections=40, gradient=gradient),
        **options,
    )
    return found.distances


@pytest.mark.parametrize(
    ("gradient", "batch_size"),
    [pytest.param("ray", 2, marks=pytest.mark.slow), ("nearest", None)],
)
def test_distances_of_linear_models_in_closed_form(gradient, batch_size):
    """Both ways agree with the derivative of |w·x + b| / ‖w‖, to image and parameters."""
    with toys.float64():
        params, images = linear_case()
        weights = jnp.array([1.0, -2.0, 0.5])
        loss = lambda p, x: jnp.vdot(
            weights, distances(p, x, gradient=gradient, batch_size=batch_size)
        )
        expected = jax.grad(
            lambda p, x: jnp.vdot(weights, closed_form(p, x)), argnums=(0, 1)
        )(params, images)
        actual = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, images)
        for a, b in zip(*map(jax.tree.leaves, (actual, expected)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_eagerly_and_under_vmap():
    with toys.float64():
        params, images = linear_case()
        total = lambda x: jnp.sum(distances(params, x, gradient="ray"))
        expected = jax.grad(lambda x: jnp.sum(closed_form(params, x)))(images)
        np.testing.assert_allclose(jax.grad(total)(images), expected, atol=1e-8)
        stack = jnp.stack([images, images + 0.01])
        mapped = jax.vmap(jax.grad(total))(stack)
        np.testing.assert_allclose(mapped[0], expected, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_ray_against_finite_differences_of_its_equation(norm):
    """x + s D with D held: s is found again for images and parameters moved a little."""
    with toys.float64():
        images = toys.images(3, dtype=jnp.float64)
        params = jax.tree.map(lambda p: p.astype(jnp.float64), PARAMS)
        labels = jnp.argmax(toys.smooth_logits(params, images), -1)

        def search(params, images):
            model = functools.partial(toys.smooth_logits, params)
            search = ja.BoundarySearch("deepfool", num_bisections=45, norm=norm)
            return ja.nearest_boundary(model, images, labels, search=search)

        found = jax.jit(search)(params, images)
        assert found.found.all()
        ray = found.points - images
        size = {
            "l2": jnp.sqrt(jnp.sum(ray**2, (1, 2, 3))),
            "linf": jnp.max(jnp.abs(ray), (1, 2, 3)),
        }[norm]

        @jax.jit
        def solve(params, images):
            model = functools.partial(toys.smooth_logits, params)
            margin = ja.scores.margin(model, labels)

            def halve(_, ends):
                low, high = ends
                middle = (low + high) / 2
                inside = margin(images + middle[:, None, None, None] * ray) > 0
                return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

            ends = jnp.full(3, 0.9), jnp.full(3, 1.1)
            return jax.lax.fori_loop(0, 50, halve, ends)[0]

        probe = jax.random.normal(jax.random.key(9), images.shape, jnp.float64)

        def functional(params, images):
            found = search(params, images)
            return jnp.sum(found.points * probe) + jnp.sum(found.distances)

        def by_the_equation(params, images):
            share = solve(params, images)
            points = images + share[:, None, None, None] * ray
            return jnp.sum(points * probe) + jnp.sum(share * size)

        gradients = jax.jit(jax.grad(functional, (0, 1)))(params, images)
        tangents = jax.tree.map(
            lambda x: jax.random.normal(jax.random.key(x.size), x.shape, x.dtype),
            (params, images),
        )
        for argument in (0, 1):
            ways = [
                jax.tree.map(jnp.zeros_like, t) if i != argument else t
                for i, t in enumerate(tangents)
            ]
            h = 1e-6
            ahead, behind = (
                by_the_equation(
                    *jax.tree.map(lambda x, d: x + s * d, (params, images), tuple(ways))
                )
                for s in (h, -h)
            )
            derivative = sum(
                jnp.vdot(g, d)
                for g, d in zip(
                    jax.tree.leaves(gradients), jax.tree.leaves(ways), strict=True
                )
            )
            assert abs(float(derivative)) > 1e-2
            np.testing.assert_allclose(
                derivative, (ahead - behind) / (2 * h), rtol=1e-5
            )


def ball_logits(params, x):
    """One class inside a ball of squared radius r², the other outside."""
    squared = jnp.sum((x - params["c"][None]) ** 2, (1, 2, 3))
    value = params["r"] ** 2 - squared
    return jnp.stack([value, -value], -1)


@pytest.mark.slow
def test_nearest_on_a_sphere_in_closed_form():
    """``x' = c + r (x - c) / ‖x - c‖``: curvature is met, to image and parameters."""
    with toys.float64():
        rng = np.random.default_rng(0)
        images = jnp.asarray(rng.uniform(0.3, 0.7, (2, 2, 2, 1)))
        params = {"c": jnp.full((2, 2, 1), 0.45), "r": jnp.asarray(0.4)}
        probe = jnp.asarray(rng.normal(size=images.shape))

        def exact(params, images):
            offsets = images - params["c"][None]
            radius = jnp.sqrt(jnp.sum(offsets**2, (1, 2, 3)))
            points = params["c"][None] + params["r"] * offsets / radius.reshape(
                -1, 1, 1, 1
            )
            return points, params["r"] - radius

        given = exact(params, images)[0]

        def implicitly(params, images):
            model = functools.partial(ball_logits, params)
            still = jax.lax.stop_gradient(params)
            constant_fn = functools.partial(ball_logits, still)
            return implicit.nearest(
                implicit.Model(model, constant_fn, jnp.zeros(2, int)),
                images,
                given,
                jax.lax.stop_gradient(exact(params, images)[1]),
            )

        def both(function):
            """The slopes of a functional of points and distances, and these."""

            def functional(params, images):
                points, distances = function(params, images)
                return jnp.sum(points * probe) + 3 * jnp.sum(distances), (
                    points,
                    distances,
                )

            slopes = jax.grad(functional, argnums=(0, 1), has_aux=True)
            return jax.jit(slopes)(params, images)

        (actual, found), (expected, known) = both(implicitly), both(exact)
        for a, b in zip(*map(jax.tree.leaves, (actual, expected)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
        for a, b in zip(found, known, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.slow
@IN_UNITS
def test_an_image_that_is_its_own_point(gradient, units):
    """Misclassified already: x' = x, so dx' = dx, and a distance of 0 that stays."""
    params, images = jax.tree.map(lambda x: x.astype(jnp.float32), linear_case())
    values = linear_logits(params, images)
    labels = jnp.argmax(values, -1).at[0].set(jnp.argmin(values[0]))
    probe = jnp.asarray(np.random.default_rng(1).normal(size=images.shape), jnp.float32)

    def both(params, images):
        found = ja.nearest_boundary(
            functools.partial(linear_logits, params),
            images,
            labels,
            search=in_units(units, gradient=gradient, leave="label"),
        )
        return (jnp.sum(found.points[0] * probe[0]), found.distances[0]), found

    slopes, found = jax.jit(jax.jacrev(both, argnums=(0, 1), has_aux=True))(
        params, images
    )
    assert found.found.all()
    np.testing.assert_array_equal(found.points[0], images[0])
    np.testing.assert_array_equal(found.distances == 0, [True, False, False])
    of_point, of_distance = slopes
    for leaf in jax.tree.leaves((of_point[0], of_distance)):
        np.testing.assert_array_equal(leaf, 0)
    np.testing.assert_allclose(of_point[1], probe.at[1:].set(0), rtol=1e-6)


@pytest.mark.slow
@IN_UNITS
def test_nothing_found_has_derivative_zero(gradient, units):
    def loss(scale, images):
        model = lambda x: jnp.stack(
            [jnp.full_like(x[:, 0, 0, 0], 9.0), scale * x[:, 0, 0, 0]], -1
        )
        found = ja.nearest_boundary(
            model,
            images,
            jnp.zeros(2, int),
            search=in_units(units, gradient=gradient),
        )
        kept = jnp.where(found.found, found.distances, 0.0)
        return jnp.sum(kept) + jnp.sum(found.points)

    images = toys.images(2, 2, 2, 3)
    slopes = jax.jit(jax.grad(loss, argnums=(0, 1)))
    slope, map_ = slopes(jnp.asarray(1.0), images)
    assert slope == 0
    np.testing.assert_array_equal(map_, 0)


@pytest.mark.parametrize("gradient", quick(MODES, "nearest"))
@pytest.mark.slow
def test_a_singular_point_is_finite(gradient):
    """At the centre of a ball every direction is nearest; the margin is flat there."""
    params = {"c": jnp.full((2, 2, 1), 0.5), "r": jnp.asarray(0.3)}
    images = jnp.full((1, 2, 2, 1), 0.5)

    def loss(images):
        found = ja.nearest_boundary(
            functools.partial(ball_logits, params),
            images,
            jnp.zeros(1, int),
            key=jax.random.key(0),
            search=ja.BoundarySearch(
                ja.boundaries.pgd_l2(radii=(0.5,), num_steps=4), gradient=gradient
            ),
        )
        return jnp.sum(found.distances)

    assert bool(jnp.isfinite(jax.jit(jax.grad(loss))(images)).all())


@pytest.mark.slow
def test_the_distance_can_be_trained():
    """A few steps on the parameters move the boundary away from the images."""
    params, images = jax.tree.map(lambda x: x.astype(jnp.float32), linear_case())
    loss = lambda p: -jnp.mean(distances(p, images, gradient="ray"))
    step = jax.jit(jax.value_and_grad(loss))
    losses = []
    for _ in range(5):
        value, slopes = step(params)
        losses.append(float(value))
        params = jax.tree.map(lambda p, g: p - 0.02 * g, params, slopes)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] - 1e-4
