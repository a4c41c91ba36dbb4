"""What a method costs beyond the model passes and random draws it cannot do without.

For every method the time of its compiled call over that of one compiled loop of exactly
its passes and draws, same model, same batch, in turn. AttEXplore runs two steps of its
ten (the ratio is that of a step), and its parts are also timed alone.
"""

from __future__ import annotations

import argparse
import functools

import jax
import jax.numpy as jnp

import jaxattr as ja
from benchmarks import report, timing
from jaxattr import _random, perturbations, spectral, steps
from jaxattr.gradients import gradient

SEED = 0
STEPS, SAMPLES = 2, 20  # of AttEXplore


def gradient_loop(model, images, labels, keys, *, passes, normals=0, uniforms=0):
    """``passes`` input gradients one after another, with so many draws before each."""
    score_fn = ja.scores.logit(model, labels)
    shape = images.shape[1:]

    def body(points, t):
        draws = _random.split(_random.fold_in(keys, t), 2)
        if normals:
            points = points + 1e-3 * _random.normal(draws[0], shape, points.dtype)
        if uniforms:
            points = points * _random.uniform(draws[1], shape, points.dtype, 0.9, 1.1)
        # The next point depends on this gradient, so no pass can be left out.
        return points + 1e-9 * gradient(score_fn, points), None

    return jax.lax.scan(body, images, jnp.arange(passes))[0]


def forward_loop(model, images, labels, keys, *, passes):
    """``passes`` forward passes one after another."""
    score_fn = ja.scores.probability(model, labels)

    def body(points, _):
        return points + 1e-9 * score_fn(points)[:, None, None, None], None

    return jax.lax.scan(body, images, None, length=passes)[0]


def insertion_and_deletion(model, images, labels, keys, *, num_steps):
    del keys
    curves = (
        curve(model, images, images, labels=labels, num_steps=num_steps)
        for curve in (ja.insertion_curve, ja.deletion_curve)
    )
    return tuple(curves)


def explain(method, model, images, labels, keys, **options):
    return method(model, images, labels, key=keys, **options)


def cases():
    """Name, the method, the bare loop, the passes both make."""
    bare = functools.partial(functools.partial, gradient_loop)

    def method(function, **options):
        return functools.partial(explain, function, **options)

    draws = STEPS * SAMPLES
    yield "saliency", method(ja.saliency), bare(passes=1), 1
    yield "integrated_gradients", method(ja.integrated_gradients), bare(passes=50), 50
    yield (
        "smoothgrad",
        method(ja.smoothgrad, num_samples=20),
        bare(passes=20, normals=1),
        20,
    )
    yield "guided_ig", method(ja.guided_ig), bare(passes=15), 15
    yield (
        f"attexplore ({STEPS} of 10 steps)",
        method(ja.attexplore, num_steps=STEPS, num_samples=SAMPLES),
        bare(passes=draws, normals=1, uniforms=1),
        draws,
    )
    yield (
        "insertion and deletion (60 points)",
        functools.partial(insertion_and_deletion, num_steps=29),
        functools.partial(forward_loop, passes=60),
        60,
    )


def overhead_table(model, images, labels, keys, rounds):
    rows = []
    for name, method, bare, passes in cases():
        args = (model, images, labels, keys)
        compiled, seconds = timing.compile_time(method, *args)
        bare, _ = timing.compile_time(bare, *args)
        medians, taken = timing.in_turn(
            [functools.partial(compiled, *args), functools.partial(bare, *args)],
            rounds=rounds,
        )
        rate = len(images) * passes / medians[0]
        rows.append(
            (
                name,
                len(images),
                passes,
                f"{medians[0]:.2f}",
                f"{medians[1]:.2f}",
                f"{timing.ratio(taken, 0, 1):.3f}",
                f"{rate:.1f}",
                f"{seconds:.1f}",
            )
        )
        print(*rows[-1], flush=True)
    header = ["method", "batch", "passes", "seconds", "bare", "ratio", "pass·img/s"]
    return report.markdown([*header, "compile s"], rows)


def parts_table(model, images, labels, keys, rounds):
    """The parts of one AttEXplore sample, or of one step, alone."""
    shape = images.shape[1:]
    through = perturbations.input_diversity(0.5, 1.15)

    def diverse(images, keys):
        """There and back: the map and its transpose."""
        image, pull = jax.vjp(lambda x: through(x)(keys), images)
        return pull(image)[0]

    smoothing = steps.smooth(7)
    parts = {
        "input gradient": lambda x, k: gradient(ja.scores.logit(model, labels), x),
        "two draws": lambda x, k: (
            _random.normal(k, shape, x.dtype) + _random.uniform(k, shape, x.dtype)
        ),
        "inverse transform": lambda x, k: spectral.idct2(x),
        "diversity, both ways": diverse,
        "smoothing (once a step)": lambda x, k: smoothing.update(x, ())[0],
        "transform (once a step)": lambda x, k: spectral.dct2(x),
    }
    compiled = [jax.jit(part) for part in parts.values()]
    medians, _ = timing.in_turn(
        [functools.partial(part, images, keys) for part in compiled], rounds=4 * rounds
    )
    rows = [
        (
            name,
            len(images),
            f"{1e3 * s / len(images):.2f}",
            f"{100 * s / medians[0]:.1f}",
        )
        for name, s in zip(parts, medians, strict=True)
    ]
    header = ["part", "batch", "ms an image", "% of the gradient"]
    return report.markdown(header, rows)


def memory_table(model, images, labels, keys):
    """Temporary memory of the compiled program, as the compiler reports it."""
    rows = []

    def measure(name, function):
        compiled, _ = timing.compile_time(function, model, images, labels, keys)
        size = compiled.memory_analysis().temp_size_in_bytes
        rows.append((name, len(images), f"{size / 2**20:.1f}"))

    for num_steps in (20, 500):
        measure(
            f"integrated_gradients, {num_steps} steps",
            functools.partial(explain, ja.integrated_gradients, num_steps=num_steps),
        )
    for num_steps in (28, 224):
        measure(
            f"insertion, batch_size 16, {num_steps} steps",
            lambda model, x, y, k, n=num_steps: ja.insertion_curve(
                model, x, x, labels=y, num_steps=n, batch_size=16
            ),
        )
    return report.markdown(["program", "batch", "MiB"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    arguments = parser.parse_args()
    dtype = None if arguments.dtype == "float32" else jnp.dtype(arguments.dtype)
    model = ja.models.load("efficientnet_lite0", dtype=dtype)
    sections = []
    for batch in arguments.batch:
        key = jax.random.key(SEED)
        images = jax.random.uniform(key, (batch, *model.input_size, 3))
        labels = jnp.arange(batch)
        keys = jax.random.split(key, batch)
        args = (model, images, labels, keys)
        sections += [
            (f"Overhead, batch {batch}", overhead_table(*args, arguments.rounds)),
            (
                f"Parts of AttEXplore, batch {batch}",
                parts_table(*args, arguments.rounds),
            ),
        ]
        if batch == max(arguments.batch):
            sections.append(("Temporary memory", memory_table(*args)))
    suffix = "" if dtype is None else f"-{arguments.dtype}"
    name = f"overhead-{jax.default_backend()}{suffix}"
    report.write(name, "Overhead over the bare model passes", sections, SEED)


if __name__ == "__main__":
    main()
