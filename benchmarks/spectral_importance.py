"""What I-ASIDE costs beyond its model passes, and what sampling costs in error.

python -m benchmarks.spectral_importance            # all three
python -m benchmarks.spectral_importance overhead   # or exact, or sampling
"""

from __future__ import annotations

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import figures, report, timing
from jaxattr.games.sampled_shapley import ESTIMATORS

SEED = 0


def overhead(arguments):
    """Time over that of a loop of the same model passes at the same batch."""
    model = ja.models.load(arguments.model)
    size = model.input_size
    n, rows = arguments.images, arguments.batch_size
    images = jax.random.uniform(jax.random.key(SEED), (n, *size, 3))
    labels = jnp.zeros(n, int)
    calls = 2**arguments.bands * n // rows

    @jax.jit
    def bare(model, images, labels):
        batch = jnp.resize(images, (rows, *images.shape[1:]))
        classes = jnp.resize(labels, (rows,))

        def call(total, i):
            # Another batch each time, or the compiler would make one call of all.
            shifted = batch + 1e-6 * i
            values = ja.scores.log_probability(model, classes)(shifted)
            return total + values.sum(), None

        steps = jnp.arange(calls, dtype=images.dtype)
        return jax.lax.scan(call, jnp.zeros(()), steps)[0]

    @jax.jit
    def full(model, images, labels):
        return ja.spectral_importance(
            model, images, labels, num_bands=arguments.bands, batch_size=rows
        )

    medians, taken = timing.in_turn(
        [lambda: bare(model, images, labels), lambda: full(model, images, labels)],
        rounds=arguments.rounds,
    )
    ratios = [row[1] / row[0] for row in taken]
    compiled = full.lower(model, images, labels).compile().memory_analysis()
    table = report.markdown(
        ["what", "value"],
        [
            ["model passes", calls * rows],
            ["bare passes", f"{medians[0]:.2f} s"],
            ["spectral_importance", f"{medians[1]:.2f} s"],
            ["ratio, median of rounds", f"{timing.ratio(taken, 1, 0):.3f}"],
            ["ratios", ", ".join(f"{r:.3f}" for r in ratios)],
            ["temporary memory", f"{compiled.temp_size_in_bytes / 2**20:.0f} MiB"],
        ],
    )
    return (
        f"{arguments.bands} bands, {n} images, batches of {rows}, {model.name}",
        table,
    )


def exact(arguments):
    """Shapley values and interactions from a table of 16 players."""
    rows = []
    for players in (8, 12, 16):
        table = jax.random.normal(jax.random.key(SEED), (2**players,))
        for name in ("shapley_values", "shapley_interactions"):
            taken = []
            for _ in range(4):
                start = time.perf_counter()
                jax.block_until_ready(getattr(ja, name)(table))
                taken.append(time.perf_counter() - start)
            rows.append(
                [
                    players,
                    name,
                    f"{taken[0]:.3f}",
                    f"{statistics.median(taken[1:]):.3f}",
                ]
            )
    header = ["players", "function", "first call, s", "later calls, s"]
    return "Exact values from a table", report.markdown(header, rows)


def games():
    """Tables of 10 players: no structure, a network, a falling spectrum."""
    players = 10
    rng = np.random.default_rng(SEED)
    members = np.asarray(ja.coalitions(players), float)
    weights = rng.normal(size=(players, 12))
    falling = members @ (3 * 0.6 ** np.arange(players))
    return {
        "random": rng.normal(size=2**players),
        "network": np.tanh(members @ weights / 2) @ rng.normal(size=12),
        "falling spectrum": -3 * np.exp(-falling) + 0.02 * rng.normal(size=2**players),
    }


def sampling(arguments):
    """Root mean square error of each estimator against calls, and its own estimate."""
    rows = []
    budgets = (64, 128, 256, 512, 1024)
    for game, table in games().items():
        table = jnp.asarray(table, float)
        players = int(np.log2(len(table)))
        places = 2 ** jnp.arange(players)
        worth = lambda c: table[jnp.sum(jnp.where(c, places, 0))]
        truth = ja.shapley_values(table)
        keys = jax.random.split(jax.random.key(SEED), arguments.seeds)
        for name in ESTIMATORS:
            errors, told = [], []
            for budget in budgets:
                run = jax.jit(
                    jax.vmap(
                        lambda key: ja.shapley_sampled(
                            worth,
                            players,
                            key=key,
                            num_samples=budget,
                            estimator=name,
                            samples_per_call=budget,
                        )
                    )
                )
                values, spread = run(keys)
                errors.append(float(jnp.sqrt(jnp.mean((values - truth[None]) ** 2))))
                told.append(float(jnp.sqrt(jnp.mean(spread**2))))
                rows.append(
                    [game, name, budget, f"{errors[-1]:.4f}", f"{told[-1]:.4f}"]
                )
    header = ["game", "estimator", "calls", "error", "reported error"]
    title = f"Sampled estimators, 10 players, {arguments.seeds} seeds"
    return title, report.markdown(header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    jobs = {"overhead": overhead, "exact": exact, "sampling": sampling}
    parser.add_argument("only", nargs="?", choices=jobs)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--bands", type=int, default=8)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=100)
    arguments = parser.parse_args()
    chosen = [arguments.only] if arguments.only else list(jobs)
    sections = [jobs[name](arguments) for name in chosen]
    name = "spectral_importance" + (f"_{arguments.only}" if arguments.only else "")
    report.write(name, "Spectral importance: cost and error", sections, SEED)
    if "sampling" in chosen:
        figures.sampling(name)


if __name__ == "__main__":
    main()
