"""What a boundary search costs beyond the model passes that it cannot do without.

    python -m benchmarks.boundary --batch 1 8

For every member the time of its compiled search over that of one compiled loop of
exactly the passes it states (forward passes that are not part of a gradient, gradients
that follow one another), same model, same batch, in turn. Nothing stops early: the
model's logits are shifted so that no class but one is ever predicted.
"""

from __future__ import annotations

import argparse
import functools

import jax
import jax.numpy as jnp

import jaxattr as ja
from benchmarks import assets, report, timing
from jaxattr import attacks, boundaries
from jaxattr.gradients import gradient

SEED = 0
BUDGETS = {
    "deepfool": {"num_steps": 3, "num_candidates": 4},
    "ddn": {"num_steps": 12},
    "fab": {"num_steps": 12},
    "pgd_l2": {"radii": (0.5, 1.0), "num_steps": 6},
    "pgd_linf": {"radii": (1 / 255, 4 / 255), "num_steps": 6},
    "apgd_ce": {"radii": (0.5, 1.0), "num_steps": 6},
    "apgd_dlr": {"radii": (0.5, 1.0), "num_steps": 6},
    "carlini_wagner": {"num_searches": 2, "num_steps": 6},
}
BISECTIONS = 4


def members():
    return [getattr(attacks, name)(**options) for name, options in BUDGETS.items()]


def one_class(model):
    """The model with one class ahead of all others, everywhere."""
    return lambda x: (lambda z: z.at[:, 0].add(1e4))(model(x))


def search(members, model, images, keys):
    return ja.nearest_boundary(
        one_class(model),
        images,
        jnp.zeros(len(images), int),
        key=keys,
        search=ja.BoundarySearch(members, num_bisections=BISECTIONS),
    )


def passes(members):
    """Forward passes of their own, forward passes of gradients, backward passes.

    A DeepFool step is one forward and several backward passes; of the others each
    gradient has a forward pass, counted with it.
    """
    with_gradient = sum(
        m.backwards if m.name != "deepfool" else BUDGETS["deepfool"]["num_steps"]
        for m in members
    )
    more = sum(m.backwards for m in members) - with_gradient
    alone = sum(m.forwards for m in members) - with_gradient
    # The class at the image, bisections, and the derivative of the ray.
    alone += 1 + BISECTIONS * len(members) + 1
    return alone, with_gradient + 1, more


def bare(members, model, images, keys):
    """Those passes one after another, and nothing else."""
    del keys
    model = one_class(model)
    alone, gradients, more = passes(members)
    score_fn = ja.scores.margin(model, jnp.zeros(len(images), int))

    def ahead(points, _):
        return points + 1e-9 * score_fn(points)[:, None, None, None], None

    def follow(points, _):
        return points + 1e-9 * gradient(score_fn, points), None

    def pull_again(points, pull):
        # The same forward pass, one backward pass more.
        ones = jnp.ones(len(images), points.dtype)

        def again(points, _):
            return points + 1e-9 * pull(ones + points[:, 0, 0, 0])[0], None

        return jax.lax.scan(again, points, length=more)[0]

    points = jax.lax.scan(ahead, images, length=alone)[0]
    points = jax.lax.scan(follow, points, length=gradients)[0]
    if more:
        _, pull = jax.vjp(score_fn, images)
        points = pull_again(points, pull)
    return points


def overhead_table(model, images, keys, rounds, only):
    rows = []
    cases = {m.name: (m,) for m in members()} | {"all together": tuple(members())}
    cases = {name: cases[name] for name in only or cases}
    for name, chosen in cases.items():
        args = (model, images, keys)
        method, seconds = timing.compile_time(functools.partial(search, chosen), *args)
        loop, _ = timing.compile_time(functools.partial(bare, chosen), *args)
        medians, taken = timing.in_turn(
            [functools.partial(method, *args), functools.partial(loop, *args)],
            rounds=rounds,
        )
        alone, gradients, more = passes(chosen)
        rows.append(
            (
                name,
                len(images),
                alone + gradients,
                gradients + more,
                f"{medians[0]:.2f}",
                f"{medians[1]:.2f}",
                f"{timing.ratio(taken, 0, 1):.3f}",
                f"{seconds:.1f}",
            )
        )
        print(*rows[-1], flush=True)
    header = ["member", "batch", "forward", "backward", "seconds", "bare", "ratio"]
    return report.markdown([*header, "compile s"], rows)


def memory_table(model, images, keys):
    """Temporary memory of the compiled program, as the compiler reports it."""
    rows = []
    for radii, steps in (((1.0,), 5), (tuple(range(1, 21)), 100)):
        member = boundaries.pgd_l2(radii=radii, num_steps=steps)
        run = functools.partial(search, (member,))
        program, _ = timing.compile_time(run, model, images, keys)
        size = program.memory_analysis().temp_size_in_bytes
        name = f"pgd_l2, {len(radii)} radii of {steps} steps"
        rows.append((name, len(images), f"{size / 2**20:.1f}"))
    return report.markdown(["program", "batch", "MiB"], rows)


def cost_table():
    """The stated cost of every member with its default budget."""
    rows = []
    for name in boundaries.boundary_names():
        member = getattr(attacks, name)()
        rows.append((name, member.forwards, member.backwards, 20))
    header = ["member", "forward, at most", "backward, at most", "bisections"]
    return report.markdown(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--member", action="append", help="only this one")
    parser.add_argument("--model", default="efficientnet_lite0")
    arguments = parser.parse_args()
    model = assets.load(arguments.model)
    sections = [("Model passes of the default budgets, an image", cost_table())]
    for batch in arguments.batch:
        key = jax.random.key(SEED)
        images = jax.random.uniform(key, (batch, *model.input_size, 3))
        keys = jax.random.split(key, batch)
        table = overhead_table(model, images, keys, arguments.rounds, arguments.member)
        sections.append((f"Overhead with small budgets, batch {batch}", table))
        if batch == max(arguments.batch):
            sections.append(("Temporary memory", memory_table(model, images, keys)))
    report.write(
        f"boundary-{jax.default_backend()}",
        "Boundary search: overhead over the bare model passes",
        sections,
        SEED,
    )


if __name__ == "__main__":
    main()
