"""What is certified of smoothed maps, beside what attacks within the radius reach.

python -m benchmarks.certificates
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

import jaxattr as ja
from benchmarks import report
from jaxattr._numerics import norms

SIDE, CLASSES, IMAGES = 8, 10, 4
SMOOTHING_RADIUS, SAMPLES, JUDGES, STEPS = 0.5, 2000, 2000, 10
RADII = (0.0, 0.01, 0.02, 0.03, 0.04, 0.06)
AXES = (1, 2, 3)

KEYS = jax.random.split(jax.random.key(0), 4)
SIZE = SIDE * SIDE * 3
HIDDEN = 4 * jax.random.normal(KEYS[0], (SIZE, 32)) / SIZE**0.5
HEAD = jax.random.normal(KEYS[1], (32, CLASSES))
X = jax.random.uniform(KEYS[2], (IMAGES, SIDE, SIDE, 3), minval=0.2, maxval=0.8)


def logits_fn(images: jax.Array) -> jax.Array:
    """A network whose gradient turns quickly: one hidden hyperbolic tangent."""
    return jnp.tanh(images.reshape(len(images), -1) @ HIDDEN) @ HEAD


LABELS = jnp.argmax(logits_fn(X), axis=-1)


def explain_fn(images: jax.Array) -> jax.Array:
    return ja.saliency(logits_fn, images, LABELS)


def cosine(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.sum(norms.unit(a, AXES) * norms.unit(b, AXES), axis=AXES)


@functools.partial(jax.jit, static_argnums=2)
def smoothed(images: jax.Array, key: jax.Array, num_samples: int) -> jax.Array:
    """The mean of the unit maps; nothing is certified."""
    certify = functools.partial(
        ja.certified_cosine,
        explain_fn,
        smoothing_radius=SMOOTHING_RADIUS,
        attack_radius=0.0,
    )
    return certify(images, key=key, num_samples=num_samples).maps


@jax.jit
def attack(radius: jax.Array) -> jax.Array:
    """Gradient steps on the cosine of a smoothed map of few samples, in the ball."""
    key = jax.random.key(5)
    clean = smoothed(X, key, 32)

    def step(delta: jax.Array, _: None) -> tuple[jax.Array, None]:
        slope = jax.grad(lambda d: cosine(smoothed(X + d, key, 32), clean).sum())(delta)
        delta = delta - radius / 3 * norms.unit(slope, AXES)
        length = norms.norm(delta, AXES, keepdims=True)
        return delta * jnp.minimum(1, radius / jnp.maximum(length, 1e-12)), None

    start = radius * norms.unit(jax.random.normal(KEYS[3], X.shape), AXES)
    return X + jax.lax.scan(step, start, length=STEPS)[0]


def attack_top_k(radius: float) -> jax.Array:
    """``attack_explanation`` on the map itself, in the cube within the ball."""
    size = radius / SIZE**0.5
    found = ja.attack_explanation(
        explain_fn, X, k=10, epsilon=size, step_size=size / 4, num_steps=30
    )
    return found.images


def rows() -> list[list[str]]:
    clean = smoothed(X, jax.random.key(6), JUDGES)
    table = []
    for radius in RADII:
        found = ja.certified_cosine(
            explain_fn,
            X,
            key=jax.random.key(4),
            smoothing_radius=SMOOTHING_RADIUS,
            attack_radius=radius,
            num_samples=SAMPLES,
        )
        points = (
            (attack(jnp.asarray(radius)), attack_top_k(radius)) if radius else (X, X)
        )
        reached = [
            cosine(smoothed(p, jax.random.key(7), JUDGES), clean) for p in points
        ]
        plain = cosine(explain_fn(points[1]), explain_fn(X))
        values = [found.lower_bound, *reached, plain]
        table.append([f"{radius:.2f}", *(f"{float(v.min()):.3f}" for v in values)])
    return table


def main() -> None:
    header = [
        *("radius", "certified cosine", "smoothed map, attacked"),
        *("smoothed map, `attack_explanation`", "map itself, `attack_explanation`"),
    ]
    text = (
        f"The least of {IMAGES} images of {SIDE} x {SIDE} x 3, a network with one hidden "
        f"tangent. The cosine is that with the map of the image itself; uniform noise of "
        f"radius {SMOOTHING_RADIUS}, {SAMPLES:,} samples."
    )
    report.write(
        "certificates",
        "Certified and attacked maps",
        [("", text), ("", report.markdown(header, rows()))],
        0,
    )


if __name__ == "__main__":
    main()
