"""Do robust networks explain themselves more robustly? Small networks on real digits.

Trains a small network on scikit-learn's digits (no download) with the plain loss, PGD
and IG-NORM, attacks the integrated gradients of each, and compares. Where the weights
are there (``JAXATTR_ASSETS``, or ``shared/assets`` beside the repository), a LeNet
trained on MNIST plainly and its adversarially trained twin are attacked beside them.

    python -m benchmarks.study_robust_training
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxattr as ja
from benchmarks import report
from jaxattr import training

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


def conv3x3(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Nine shifted copies times one matrix: on a CPU, and differentiated twice inside a
    loop, much faster than XLA's convolution."""
    h, w = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def apply_fn(params: Any, x: jax.Array) -> jax.Array:
    """Two convolutions with softplus: its curvature is what IG-NORM trains."""
    for name in ("a", "b"):
        x = jax.nn.softplus(10 * conv3x3(x, params[name])) / 10
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
        before, after = (ja.pixel_magnitudes(judge(v)) for v in (x, found))
        return found, before, after

    found, before, after = attack(x)
    lens = functools.partial(ja.lens_recall, k=k, window=WINDOW)
    scores = [
        ja.top_k_intersection(before, after, k=k),
        lens(before, after),
        ja.lens_chance(lens, before, after, key=jax.random.key(1), null="photographs"),
        ja.kendall(before, after),
    ]
    maps = {"image": x[..., 0], "attacked": found[..., 0], "IG": before, "IG'": after}
    means = [
        float(right.mean()),
        float(robust.mean()),
        *(float(s.mean()) for s in scores),
    ]
    return means, {name: np.asarray(v[:2]) for name, v in maps.items()}


def assets() -> pathlib.Path | None:
    beside = pathlib.Path(__file__).resolve().parents[2] / "shared" / "assets"
    folder = pathlib.Path(os.environ.get("JAXATTR_ASSETS", beside))
    return folder if (folder / "mnist_test10000.npz").is_file() else None


def draw(maps: dict[str, dict[str, np.ndarray]], path: pathlib.Path) -> None:
    """Each network a row: image, attacked image, map before, map after."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.7 * len(maps) + 0.3), layout="constrained")
    axes = figure.subplots(len(maps), 4, squeeze=False)
    titles = ("image", "attacked", "map before", "map after")
    for row, (name, panels) in zip(axes, maps.items(), strict=True):
        for ax, title, (kind, values) in zip(row, titles, panels.items(), strict=True):
            is_map = kind.startswith("IG")
            top = panels["IG"][0].max() if is_map else 1
            cmap = "magma" if is_map else "gray"
            ax.imshow(values[0], cmap=cmap, vmin=0, vmax=top, interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
            if row is axes[0]:
                ax.set_title(title, fontsize=10)
        row[0].set_ylabel(name, fontsize=10)
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
    for name, (model, twin, images, labels) in mnist_twins().items():
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


def mnist_twins() -> dict[str, Any]:
    """LeNet as advertorch trained it, plainly and adversarially; {} without the files."""
    folder = assets()
    if folder is None:
        return {}
    from jaxattr.models.checkpoint import read_checkpoint

    data = np.load(folder / "mnist_test10000.npz")
    images = data["x"][:500, :, :, None].astype(np.float32) / 255
    labels = data["y"][:500].astype(np.int32)
    twins = {}
    for kind, name in (("cln", "MNIST, plain"), ("adv", "MNIST, adversarial")):
        weights = read_checkpoint(
            folder / f"mnist_lenet5_{kind}_advertorch.safetensors"
        )
        weights = {k: jnp.asarray(v) for k, v in weights.items()}
        smooth = lambda v: jax.nn.softplus(20 * v) / 20
        model, twin = (
            functools.partial(lenet, weights, act) for act in (jax.nn.relu, smooth)
        )
        twins[name] = (model, twin, images, labels)
    return twins


def lenet(weights: Any, activation: Any, x: jax.Array) -> jax.Array:
    """Convolutions 3x3 of 32 and 64, each pooled; then 200, then 10."""
    for name in ("conv1", "conv2"):
        kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0)
        x = activation(conv3x3(x, kernel) + weights[f"{name}.bias"])
        n, h, w, c = x.shape
        x = x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
    # Rows of the first matrix are channel by channel.
    x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
    x = activation(x @ weights["linear1.weight"].T + weights["linear1.bias"])
    return x @ weights["linear2.weight"].T + weights["linear2.bias"]


if __name__ == "__main__":
    main()
