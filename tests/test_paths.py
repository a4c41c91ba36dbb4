import jax
import jax.numpy as jnp
import numpy as np
import optax
import toys

from jaxattr import gradients, paths, projections, steps
from jaxattr._numerics import quadrature

KEYS = jax.random.split(jax.random.key(0), 3)


def energy(points):
    return jnp.sum(points**2, axis=(-3, -2, -1)) / 2


def path_of(images, step_size, epsilon=1.0, bounds=(-9.0, 9.0)):
    return paths.adversarial_path(
        gradients.gradient_at_points(energy),
        direction=optax.identity(),
        move=steps.sign_step(step_size),
        project=projections.linf_ball_and_box(images, epsilon, bounds),
    )


def test_path_integral_of_the_gradient_is_the_change_of_the_score():
    """With small steps, whatever the path: ∫ ∇f · dx = f(end) - f(start)."""
    images = toys.images()
    num_steps = 400
    path = path_of(images, 0.3 / num_steps)
    total = paths.integrate_path(
        path, images, KEYS, num_steps=num_steps, integrand=lambda info: info.gradient
    )
    expected = energy(images + 0.3) - energy(images)
    np.testing.assert_allclose(total.sum((1, 2, 3)), expected, rtol=5e-3)


def test_step_by_hand():
    """x = 1 goes up by 0.25 twice, the gradient is x: 0.25·1 + 0.25·1.25."""
    x = jnp.ones((1, 1, 1, 1))
    total = paths.integrate_path(
        path_of(x, 0.25), x, None, num_steps=2, integrand=lambda info: info.gradient
    )
    np.testing.assert_allclose(total.ravel(), [0.5625])


def test_projection_takes_its_part_of_the_displacement():
    """The ball stops the second step half way, the box the first altogether."""
    x = jnp.array([0.5, 1.0]).reshape(1, 1, 2, 1)
    path = path_of(x, 0.2, epsilon=0.3, bounds=(0.0, 1.0))
    state = path.init(x)
    moves = []
    for _ in range(3):
        state, info = path.step(None, state)
        moves.append(info.displacement.ravel())
    np.testing.assert_allclose(moves, [[0.2, 0], [0.1, 0], [0, 0]], atol=1e-7)


def test_integrate_line_is_the_weighted_mean_gradient():
    start, end = toys.images(), toys.images()[:, ::-1]
    rule = quadrature.rule("trapezoid", 5)
    expected = sum(w * (start + a * (end - start)) for a, w in zip(*rule, strict=True))
    for steps_per_call in (1, 2, 5):
        actual = paths.integrate_line(
            energy, start, end, rule, steps_per_call=steps_per_call
        )
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_memory_does_not_grow_with_the_number_of_steps():
    def temporary(num_steps):
        def run(x):
            return paths.integrate_path(
                path_of(x, 0.01),
                x,
                None,
                num_steps=num_steps,
                integrand=lambda info: info.direction,
            )

        compiled = jax.jit(run).lower(jnp.ones((4, 64, 64, 3))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(500) <= 1.1 * temporary(20)
