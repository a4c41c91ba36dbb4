"""Time and memory of the agreement metrics, and of a step of an attack on IG.

python -m benchmarks.lens
"""

from __future__ import annotations

import functools
import statistics

import jax
import jax.numpy as jnp

import jaxattr as ja
from benchmarks import report, timing
from jaxattr._numerics.rankings import pixel_magnitudes

SEED = 0
NUM_MAPS, SIDE, K, WINDOW = 64, 224, 1000, 3


def maps() -> tuple[jax.Array, jax.Array]:
    """Maps that resemble one another as those of an image and its neighbour do."""
    a, noise = jax.random.normal(jax.random.key(SEED), (2, NUM_MAPS, SIDE, SIDE))
    return a, 0.7 * a + 0.7 * noise


def metric_rows() -> list[list[object]]:
    options = {"k": K, "window": WINDOW}
    metrics = {
        "top_k_intersection": functools.partial(ja.top_k_intersection, k=K),
        "lens_recall": functools.partial(ja.lens_recall, **options),
        "diverse_top_k": lambda a, b: ja.diverse_top_k(a, **options),
        "lens_recall_diverse": functools.partial(ja.lens_recall_diverse, **options),
        "spearman": ja.spearman,
        "kendall": ja.kendall,
    }
    pairs = {"random": maps(), "sparse": tuple(jnp.maximum(m, 1.5) for m in maps())}
    rows = []
    for name, metric in metrics.items():
        compiled, seconds = timing.compile_time(metric, *pairs["random"])
        memory = compiled.memory_analysis()
        functions = [functools.partial(compiled, *pair) for pair in pairs.values()]
        medians, _ = timing.in_turn(functions, rounds=3)
        megabytes = memory.temp_size_in_bytes / 1e6
        times = [f"{value:.3f}" for value in medians]
        rows.append([name, f"{seconds:.1f}", *times, f"{megabytes:.0f}"])
    return rows


def network(key: jax.Array):
    """Three smooth convolutions and a head."""
    keys = jax.random.split(key, 4)
    widths = (3, 16, 32, 32)
    kernels = [
        jax.random.normal(k, (3, 3, i, o)) * (2 / (9 * i)) ** 0.5
        for k, i, o in zip(keys, widths, widths[1:], strict=False)
    ]
    head = jax.random.normal(keys[-1], (widths[-1], 10))

    def logits_fn(x: jax.Array) -> jax.Array:
        for kernel in kernels:
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.softplus(x)
        return x.mean((1, 2)) @ head

    return logits_fn


def attack_row(nodes: int, num_steps: int) -> list[object]:
    """A step of the attack on IG over the bare gradient of the same functional."""
    images = jax.random.uniform(jax.random.key(SEED), (4, 32, 32, 3))
    logits_fn = network(jax.random.key(1))
    labels = jnp.argmax(logits_fn(images), axis=-1)

    def explain_fn(x: jax.Array) -> jax.Array:
        return ja.integrated_gradients(logits_fn, x, labels, num_steps=nodes)

    def attack(x: jax.Array) -> jax.Array:
        return ja.attack_explanation(
            explain_fn,
            x,
            k=100,
            num_steps=num_steps,
            logits_fn=logits_fn,
            labels=labels,
        ).images

    def bare(x: jax.Array) -> jax.Array:
        """T gradients of a functional of the map, with nothing around them."""
        mask = pixel_magnitudes(explain_fn(x)) > 0.01
        total = lambda x: jnp.sum(jnp.where(mask, pixel_magnitudes(explain_fn(x)), 0))
        step = lambda x, _: (x + 1e-3 * jnp.sign(jax.grad(total)(x)), None)
        moved = jax.lax.scan(step, x, length=num_steps)[0]
        return moved + 0 * explain_fn(moved)

    functions = [functools.partial(jax.jit(f), images) for f in (attack, bare)]
    medians, taken = timing.in_turn(functions, rounds=5)
    ratio = statistics.median(row[0] / row[1] for row in taken)
    milliseconds = [f"{1e3 * value / num_steps:.1f}" for value in medians]
    return [nodes, num_steps, *milliseconds, f"{ratio:.3f}"]


def main() -> None:
    header = ["metric", "compile, s", "random, s", "sparse, s", "temporary, MB"]
    what = f"A batch of {NUM_MAPS} pairs of maps of {SIDE} x {SIDE}, k = {K}, w = {WINDOW}."
    metrics = report.markdown(header, metric_rows())
    attack_header = ["nodes", "steps", "attack, ms a step", "bare, ms a step", "ratio"]
    attack = report.markdown(attack_header, [attack_row(8, 5)])
    report.write(
        "lens",
        "Agreement of maps, and attacks on them",
        [
            ("", what),
            ("Metrics", metrics),
            ("An attack on integrated gradients", attack),
        ],
        SEED,
    )


if __name__ == "__main__":
    main()
