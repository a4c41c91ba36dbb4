"""What a method costs beyond the model passes and random draws it cannot do without.

For every method the time of its compiled call over that of one compiled loop of exactly
its passes and draws, same model, same batch, in turn. Methods that step along a path run
two of their steps (the ratio is that of a step); the passes of the whole method stand
beside. The parts of AttEXplore are also timed alone. ``--only all`` times every method
of the adversarial-path family and every attack as an explorer. A curve with imputed
pixels stands over the one without.

Two compiled programs of the same work differ by up to a tenth, so a ratio near one says
little: ``at its fastest`` takes the fastest round of each, and ``without the model`` is the
method on a model that costs nothing, in hundredths of the bare loop.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jaxattr as ja
from benchmarks import report, timing
from jaxattr import _random, perturbations, steps
from jaxattr.frequencies import transforms
from jaxattr.gradients import gradient

SEED = 0
STEPS, SAMPLES = 2, 20  # of the paths
ROWS = 9  # a call of a curve of one map: 225 points are 25 calls


FEW = (
    "saliency",
    "integrated_gradients",
    "smoothgrad",
    "guided_ig",
    "attexplore",
    "insertion and deletion (60 points)",
)


def gradient_loop(
    model, images, labels, keys, *, passes, normals=0, uniforms=0, every=1, forwards=0
):
    """``passes`` input gradients one after another, with so many draws before each.

    After every ``every``-th of them, where ``forwards`` is given, a forward pass.
    """
    score_fn = ja.scores.logit(model, labels)
    shape = images.shape[1:]

    def body(points, t):
        draws = _random.split(_random.fold_in(keys, t), max(1, normals + uniforms))
        for draw in draws[:normals]:
            points = points + 1e-3 * _random.normal(draw, shape, points.dtype)
        for draw in draws[normals : normals + uniforms]:
            points = points * _random.uniform(draw, shape, points.dtype, 0.9, 1.1)
        for _ in range(every):
            # The next point depends on this gradient, so no pass can be left out.
            points = points + 1e-9 * gradient(score_fn, points)
        for _ in range(forwards):
            points = points + 1e-9 * score_fn(points)[:, None, None, None]
        return points, None

    return jax.lax.scan(body, images, jnp.arange(passes // every))[0]


def forward_loop(model, images, labels, keys, *, passes):
    """``passes`` forward passes one after another."""
    score_fn = ja.scores.probability(model, labels)

    def body(points, _):
        return points + 1e-9 * score_fn(points)[:, None, None, None], None

    return jax.lax.scan(body, images, None, length=passes)[0]


def insertion_and_deletion(model, images, labels, keys, *, num_steps, rows=None):
    """Both curves; given ``rows``, of the first image, so many points a call."""
    del keys
    if rows:
        images, labels = images[:1], labels[:1]
    curves = (
        curve(
            model,
            images,
            images,
            labels=labels,
            num_steps=num_steps,
            batch_size=rows,
        )
        for curve in (ja.insertion_curve, ja.deletion_curve)
    )
    return tuple(curves)


def of_own_maps(curve, model, images, labels, keys):
    """A curve of the images as their own maps."""
    del keys
    return curve(model, images, images, labels=labels, num_steps=29)


def forward_loop_of_one(model, images, labels, keys, *, passes, rows):
    """``passes`` forward passes of the first image, ``rows`` in a call."""
    images = jnp.broadcast_to(images[:1], (rows, *images.shape[1:]))
    labels = jnp.broadcast_to(labels[:1], (rows,))
    return forward_loop(model, images, labels, keys, passes=passes // rows)


def explain(method, model, images, labels, keys, **options):
    return method(model, images, labels, key=keys, **options)


class Case(NamedTuple):
    """A method and the loop of what it cannot do without."""

    name: str
    method: Callable[..., Any]
    bare: Callable[..., Any]
    passes: int
    """Of both, for each image."""
    whole: str
    """Of the method with its published settings."""
    images: int | None = None
    """How many are done, where it is not the batch."""


def cases():
    def case(name, function, passes, whole, options=None, **draws):
        return Case(
            name,
            functools.partial(explain, function, **(options or {})),
            functools.partial(gradient_loop, passes=passes, **draws),
            passes,
            whole,
        )

    def attack(name, passes, whole, **draws):
        """AttEXplore++ along the path of an attack; NAA's features are the pixels."""

        def along(model, images, labels, **given):
            made = name
            if name == "naa":
                made = ja.attacks.naa(lambda x: x, model)
            return ja.attexplore_pp(model, images, labels, attack=made, **given)

        options = {"num_steps": STEPS}
        return case(f"attexplore_pp {name}", along, passes, whole, options, **draws)

    both = STEPS * SAMPLES
    few = {"num_steps": STEPS, "num_samples": SAMPLES}
    yield case("saliency", ja.saliency, 1, "1")
    yield case("integrated_gradients", ja.integrated_gradients, 50, "50")
    yield case("smoothgrad", ja.smoothgrad, 20, "50", {"num_samples": 20}, normals=1)
    yield case("guided_ig", ja.guided_ig, 15, "15")
    yield case("mfaba", ja.mfaba, 20, "50 + 50 forward", {"num_steps": 20}, forwards=1)
    yield case(
        "agi",
        ja.agi,
        40,
        "800 + 400 forward",
        {"num_targets": 2, "num_steps": 10},
        every=2,
        forwards=1,
    )
    yield case("attexplore", ja.attexplore, both, "200", few, normals=1, uniforms=1)
    yield case("fampe", ja.fampe, both, "200", few, normals=1, uniforms=1)
    yield attack("mi_fgsm", STEPS, "10")
    yield attack("ni_fgsm", STEPS, "10")
    yield attack("di_fgsm", STEPS, "10")
    yield attack("ti_fgsm", STEPS, "10")
    yield attack("si_ni_fgsm", 5 * STEPS, "50")
    yield attack("ssa", both, "200", normals=1, uniforms=1)
    yield attack("mig", both, "200")
    yield attack("vmi_fgsm", both + STEPS, "210", uniforms=1)
    yield attack("vni_fgsm", both + STEPS, "210", uniforms=1)
    yield attack("gra", both + STEPS, "210", uniforms=1)
    yield attack("pgn", 2 * both, "400", every=2, uniforms=1)
    yield attack("fgsra", both + STEPS, "210", uniforms=2)
    yield attack("sia", both, "200", uniforms=1)
    yield attack("naa", 30, "30 + features", normals=1)
    yield case("idgi", ja.idgi, 20, "50 + 50 forward", {"num_steps": 20}, forwards=1)
    yield case("blur_ig", ja.blur_ig, 20, "100", {"num_steps": 20})
    yield case(*("la", ja.la, 25, "820"), {"num_targets": 2, "num_steps": 5})
    yield case(
        *("isa", ja.isa, 16, "496"),
        {"values_per_round": 75264, "num_ascent_steps": 4, "num_descent_steps": 4},
        normals=1,
    )
    for name, function, options, whole in (
        ("occlusion", ja.occlusion, {"window": 56, "stride": 28}, "730 forward"),
        ("rise", ja.rise, {"num_samples": 50}, "4000 forward"),
        ("lime", ja.lime, {"segments": (4, 4), "num_samples": 50}, "1000 forward"),
        (
            "kernel_shap",
            ja.kernel_shap,
            {"segments": (4, 4), "num_samples": 50},
            "1000 forward",
        ),
    ):
        yield Case(
            name,
            functools.partial(explain, function, **options),
            functools.partial(forward_loop, passes=50),
            50,
            whole,
        )
    yield Case(
        "insertion and deletion (60 points)",
        functools.partial(insertion_and_deletion, num_steps=29),
        functools.partial(forward_loop, passes=60),
        60,
        "450 forward",
    )
    yield Case(
        "road (29 steps) over deletion",
        functools.partial(of_own_maps, ja.road_curve),
        functools.partial(of_own_maps, ja.deletion_curve),
        30,
        "225 forward",
    )
    yield Case(
        f"insertion and deletion, one map ({ROWS} points a call)",
        functools.partial(insertion_and_deletion, num_steps=224, rows=ROWS),
        functools.partial(forward_loop_of_one, passes=450, rows=ROWS),
        450,
        "450 forward",
        images=1,
    )


def chosen(name, only):
    """Named, in the whole family, or one of the few that are timed by default."""
    if only:
        return "all" in only or not set(only).isdisjoint(name.split())
    return name in FEW


def overhead_table(model, images, labels, keys, rounds, only, threads):
    args = (model, images, labels, keys)
    found = [case for case in cases() if chosen(case.name, only)]
    pairs = [function for case in found for function in (case.method, case.bare)]
    programs = timing.compile_all(pairs, *args, threads=threads)
    free = (jax.tree_util.Partial(costs_nothing), *args[1:])
    without = timing.compile_all([c.method for c in found], *free, threads=threads)
    # Side by side, or read from a cache, compile times would say nothing.
    tells = threads == 1 and not jax.config.jax_compilation_cache_dir
    with timing.alone():
        rows = [
            overhead_row(
                *(case, *programs[2 * i : 2 * i + 2], args, rounds, tells),
                functools.partial(without[i][0], *free),
            )
            for i, case in enumerate(found)
        ]
    header = [
        *("method", "batch", "whole", "passes timed"),
        *("seconds", "bare", "ratio", "at its fastest", "without the model, %"),
        "pass·img/s",
        *(["compile s"] if tells else []),
    ]
    return report.markdown(header, rows)


def costs_nothing(images):
    """Logits of a model whose pass is one product of two vectors an image."""
    pixels = images.reshape(len(images), -1)
    weights = jnp.cos(jnp.arange(pixels.shape[1], dtype=pixels.dtype))
    return (pixels @ weights)[:, None] * jnp.cos(jnp.arange(10.0))


def overhead_row(case, method, bare, args, rounds, tells, without):
    (method, seconds), (bare, _) = method, bare
    medians, taken = timing.in_turn(
        [functools.partial(method, *args), functools.partial(bare, *args), without],
        rounds=rounds,
    )
    fastest = [min(column) for column in zip(*taken, strict=True)]
    batch = case.images or len(args[1])
    row = (
        *(case.name, batch, case.whole, case.passes),
        *(f"{second:.3g}" for second in medians[:2]),
        f"{timing.ratio(taken, 0, 1):.3f}",
        f"{fastest[0] / fastest[1]:.3f}",
        f"{100 * fastest[2] / fastest[1]:.1f}",
        f"{batch * case.passes / medians[0]:.1f}",
        *([f"{seconds:.1f}"] if tells else []),
    )
    print(*row, flush=True)
    return row


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
        "inverse transform": lambda x, k: transforms.idct2(x),
        "diversity, both ways": diverse,
        "smoothing (once a step)": lambda x, k: smoothing.update(x, ())[0],
        "transform (once a step)": lambda x, k: transforms.dct2(x),
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
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        help=f"words in their names, or all (default: {', '.join(FEW)})",
    )
    parser.add_argument("--name", help="of the report (default: overhead-BACKEND-ONLY)")
    parser.add_argument("--threads", type=int, default=1, help="that compile")
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
        table = overhead_table(
            *args, arguments.rounds, arguments.only, arguments.threads
        )
        sections.append((f"Overhead, batch {batch}", table))
        if arguments.only:
            continue
        parts = parts_table(*args, arguments.rounds)
        sections.append((f"Parts of AttEXplore, batch {batch}", parts))
        if batch == max(arguments.batch):
            sections.append(("Temporary memory", memory_table(*args)))
    suffix = "".join(f"-{word}" for word in arguments.only)
    suffix += "" if dtype is None else f"-{arguments.dtype}"
    name = arguments.name or f"overhead-{jax.default_backend()}{suffix}"
    report.write(name, "Overhead over the bare model passes", sections, SEED)


if __name__ == "__main__":
    main()
