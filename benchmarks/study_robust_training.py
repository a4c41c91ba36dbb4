"""Do robust networks explain themselves more robustly? Small networks on real digits.

Trains a small network on scikit-learn's digits (no download) with the plain loss, PGD
and IG-NORM, attacks the integrated gradients of each, and compares. Where the weights
are there (``JAXATTR_ASSETS``, or ``shared/assets`` beside the repository), a LeNet
trained on MNIST plainly and its adversarially trained twin are attacked beside them.

    python -m benchmarks.study_robust_training
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxattr as ja
from benchmarks import mnist_twins, report
from benchmarks.convolution import conv
from jaxattr import plots, training

SEED = 0
EPSILON, STEPS, BATCH = 0.1, 400, 64
K, WINDOW, NUM_ATTACKED = 10, 1, 100
INNER = {"epsilon": EPSILON, "step_size": EPSILON / 4, "num_steps": 7}
LOSSES: dict[str, Callable[..., jax.Array]] = {
    "standard": lambda *args, key: training.standard_loss(*args),
    "PGD": functools.partial(training.pgd_loss, **INNER),
    "IG-NORM": functools.partial(
        training.ig_norm_loss, **INNER, weight=1.0, num_nodes=10, inner_nodes=5
    ),
}


def digits() -> tuple[np.ndarray, ...]:
    """Images ``(n, 8, 8, 1)`` in [0, 1] and labels, of training and of testing."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(SEED).permutation(len(data.target))
    images = (data.images / 16).astype(np.float32)[order, :, :, None]
    labels = data.target.astype(np.int32)[order]
    return images[:1300], labels[:1300], images[1300:], labels[1300:]


def init(key: jax.Array) -> Any:
    shapes = {"a": (3, 3, 1, 16), "b": (3, 3, 16, 32), "c": (8 * 8 * 32, 10)}
    return {
        name: jax.random.normal(k, shape) * (2 / np.prod(shape[:-1])) ** 0.5
        for k, (name, shape) in zip(
            jax.random.split(key, 3), shapes.items(), strict=True
        )
    }


def apply_fn(params: Any, x: jax.Array) -> jax.Array:
    """Two convolutions with softplus: its curvature is what IG-NORM trains."""
    for name in ("a", "b"):
        x = jax.nn.softplus(10 * conv(x, params[name])) / 10
    return x.reshape(x.shape[0], -1) @ params["c"]


def train(
    loss: Callable[..., jax.Array], images: np.ndarray, labels: np.ndarray
) -> Any:
    optimiser = optax.adam(1e-3)
    key = jax.random.key(SEED)
    params = init(key)

    def step(carry: Any, t: jax.Array) -> tuple[Any, jax.Array]:
        params, state = carry
        draw, inner = jax.random.split(jax.random.fold_in(key, t))
        index = jax.random.randint(draw, (BATCH,), 0, len(images))
        value, slope = jax.value_and_grad(
            lambda p: loss(
                apply_fn,
                p,
                jnp.asarray(images)[index],
                jnp.asarray(labels)[index],
                key=inner,
            )
        )(params)
        updates, state = optimiser.update(slope, state)
        return (optax.apply_updates(params, updates), state), value

    run = jax.jit(
        lambda p: jax.lax.scan(step, (p, optimiser.init(p)), jnp.arange(STEPS))
    )
    return run(params)[0][0]


def evaluate(
    logits_fn: Callable[[jax.Array], jax.Array],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    epsilon: float,
    k: int,
    twin: Callable[[jax.Array], jax.Array] | None = None,
) -> tuple[list[float], dict[str, np.ndarray]]:
    """Accuracies, then the agreement of IG before and after the attack; and maps."""
    x, y = jnp.asarray(images), jnp.asarray(labels)

    @jax.jit
    def accuracies(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = ja.attacks.run(
            "pgd",
            logits_fn,
            x,
            y,
            key=jax.random.key(SEED),
            epsilon=epsilon,
            num_steps=20,
        )
        return jnp.argmax(logits_fn(x), -1) == y, ~found.success

    right, robust = accuracies(x)
    chosen = np.flatnonzero(np.asarray(right))[:NUM_ATTACKED]
    x, y = x[chosen], y[chosen]
    explain = lambda model, x: ja.integrated_gradients(model, x, y, num_steps=10)

    @jax.jit
    def attack(x: jax.Array) -> tuple[jax.Array, ...]:
        judge = functools.partial(explain, logits_fn)
        found = ja.attack_explanation(
            functools.partial(explain, twin or logits_fn),
            x,
            k=k,
            epsilon=epsilon,
            step_size=epsilon / 10,
            num_steps=30,
            logits_fn=logits_fn,
            labels=y,
            score_explain_fn=judge if twin else None,
        ).images
        return found, judge(x), judge(found)

    found, *shown = attack(x)
    before, after = map(ja.pixel_magnitudes, shown)
    lens = functools.partial(ja.lens_recall, k=k, window=WINDOW)
    scores = [
        ja.top_k_intersection(before, after, k=k),
        lens(before, after),
        ja.lens_chance(lens, before, after, key=jax.random.key(1), null="photographs"),
        ja.kendall(before, after),
    ]
    panels = (x, found, *shown)
    means = [
        float(right.mean()),
        float(robust.mean()),
        *(float(s.mean()) for s in scores),
    ]
    return means, [np.asarray(panel[0]) for panel in panels]


def draw(rows: dict[str, list[np.ndarray]], path: pathlib.Path) -> None:
    """Each network a row: image, attacked image, map before, map after."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.9, 1.85 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), 4, squeeze=False)
    titles = ("image", "attacked", "map before", "map after")
    for row, (name, (image, attacked, *maps)) in zip(axes, rows.items(), strict=True):
        for ax, pixels in zip(row, (image, attacked)):
            ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
        for ax, values in zip(row[2:], maps, strict=True):
            plots.attribution_map(values, ax)
        row[0].set_ylabel(name, fontsize=9)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize=10)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    train_images, train_labels, images, labels = digits()
    rows, maps = [], {}
    for name, loss in LOSSES.items():
        params = train(loss, train_images, train_labels)
        model = functools.partial(apply_fn, params)
        means, shown = evaluate(model, images, labels, epsilon=EPSILON, k=K)
        rows.append([f"digits, {name}", *(f"{v:.3f}" for v in means)])
        maps[f"digits, {name}"] = shown
        print(rows[-1], flush=True)
    for name, (model, twin, images, labels) in mnist().items():
        means, shown = evaluate(model, images, labels, epsilon=0.1, k=100, twin=twin)
        rows.append([name, *(f"{v:.3f}" for v in means)])
        maps[name] = shown
    header = [
        "network",
        "accuracy",
        "under PGD",
        "top-k",
        f"{WINDOW}-LENS",
        "its chance",
    ]
    figure = report.RESULTS / "robust_training.png"
    draw(maps, figure)
    about = (
        f"Digits of 8 x 8: ε = {EPSILON}, k = {K} of 64 pixels, {STEPS} steps of Adam. "
        f"MNIST LeNets: ε = 0.1, k = 100. Integrated gradients of the label's logit under "
        f"the top-k attack with the label held, {NUM_ATTACKED} correct test images each. "
        f"Chance: maps of other images. Figure: {figure.name}."
    )
    table = report.markdown([*header, "Kendall"], rows)
    report.write(
        "robust_training",
        "Robust training, robust explanations?",
        [("", about), ("Results", table)],
        SEED,
    )


def mnist() -> dict[str, Any]:
    """Networks, smooth twins, images and labels; {} without the files."""
    try:
        images, labels = mnist_twins.test_images()
    except FileNotFoundError:
        return {}
    names = {"MNIST, plain": "normal", "MNIST, adversarial": "adv"}
    return {
        name: (
            mnist_twins.load(training),
            mnist_twins.load(training, mnist_twins.smooth),
            images[:500],
            labels[:500],
        )
        for name, training in names.items()
    }


if __name__ == "__main__":
    main()
