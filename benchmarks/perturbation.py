"""RISE and KernelSHAP against torch: the same model, images and numbers of passes.

Needs the extra ``bench``. KernelSHAP is captum's. Captum has no RISE: torch runs the
published loop, masks drawn beforehand and batches of masked images. A bare loop of
as many forward passes stands beside each, here and there, so that what a method costs
beyond its passes can be told from how fast the passes are. Everything is taken in turn.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import report, timing
from benchmarks.torch_efficientnet_lite0 import load_torch_model

SEED = 0


def forward_loop(model: Any, x: Any, y: Any, *, passes: int, rows: int) -> Any:
    """``passes`` forward passes of every image, ``rows`` of them in a call."""
    together = max(1, rows // len(x))
    x = jnp.repeat(x, together, axis=0)
    y = jnp.repeat(y, together)
    score_fn = ja.scores.logit(model, y)

    def body(points, _):
        # The next point depends on this score, so no pass can be left out.
        return points + 1e-9 * score_fn(points)[:, None, None, None], None

    return jax.lax.scan(body, x, None, length=-(-passes // together))[0][0, 0, 0]


def torch_forward_loop(model: Any, x: Any, *, passes: int, rows: int) -> Any:
    import torch

    together = max(1, rows // len(x))
    x = x.repeat_interleave(together, 0)
    with torch.no_grad():
        for _ in range(-(-passes // together)):
            out = model(x)
    return out


def torch_rise(model: Any, x: Any, y: Any, *, num_samples: int, rows: int) -> Any:
    """The published loop: masks are drawn once, for all images."""
    import torch
    from torch.nn import functional

    side, cells, probability = x.shape[-1], 7, 0.5
    pixels = -(-side // cells)
    with torch.no_grad():
        grids = (torch.rand(num_samples, 1, cells, cells) < probability).float()
        masks = torch.empty(num_samples, 1, side, side)
        size = (cells + 1) * pixels
        for k in range(num_samples):
            wide = functional.interpolate(
                grids[k : k + 1],
                size=(size, size),
                mode="bilinear",
                align_corners=False,
            )
            top, left = torch.randint(0, pixels, (2,)).tolist()
            masks[k] = wide[0, :, top : top + side, left : left + side]
        maps = []
        for image, label in zip(x, y):
            scores = torch.cat(
                [model(image[None] * m)[:, label] for m in masks.split(rows)]
            )
            weighted = scores @ masks.reshape(num_samples, -1)
            maps.append(weighted.reshape(side, side) / num_samples / probability)
    return torch.stack(maps)


def captum_kernel_shap(model: Any, x: Any, y: Any, mask: Any, **options: Any) -> Any:
    """An image at a time, as its documentation asks for."""
    from captum.attr import KernelShap

    explainer = KernelShap(model)
    rows = [
        explainer.attribute(
            image[None], target=int(label), feature_mask=mask, baselines=0.0, **options
        )
        for image, label in zip(x, y)
    ]
    return rows[-1]


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8, help="images")
    parser.add_argument("--rows", type=int, default=8, help="of a model call")
    parser.add_argument("--masks", type=int, default=4000, help="of RISE")
    parser.add_argument("--coalitions", type=int, default=1000, help="of KernelSHAP")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default=f"perturbation-{jax.default_backend()}")
    arguments = parser.parse_args()
    ours, theirs = ja.models.load("efficientnet_lite0"), load_torch_model()
    shape = (arguments.batch, *ours.input_size, 3)
    images = np.asarray(jax.random.uniform(jax.random.key(SEED), shape))
    x, y, key = jnp.asarray(images), jnp.arange(arguments.batch), jax.random.key(SEED)
    tx = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    ty = torch.arange(arguments.batch)
    with torch.no_grad():
        logits = theirs(tx).numpy()
    error = np.abs(ours(x) - logits).max() / np.abs(logits).max()
    assert error < 1e-4, f"the two models differ by {error:.1e}"
    mask = torch.from_numpy(np.asarray(ja.segments.grid(*ours.input_size, 7, 7)).copy())
    rows = arguments.rows
    given = {"rows": rows}
    ours_of: dict[str, tuple[int, Callable[..., Any], Callable[..., Any]]] = {
        "RISE": (
            arguments.masks,
            functools.partial(ja.rise, num_samples=arguments.masks),
            lambda: torch_rise(theirs, tx, ty, num_samples=arguments.masks, **given),
        ),
        "KernelSHAP, 7 x 7": (
            arguments.coalitions,
            functools.partial(ja.kernel_shap, num_samples=arguments.coalitions),
            lambda: captum_kernel_shap(
                *(theirs, tx, ty, mask[None, None]),
                n_samples=arguments.coalitions,
                perturbations_per_eval=rows,
            ),
        ),
    }
    table = []
    for name, (passes, explain, run_torch) in ours_of.items():
        call = lambda model, x, y, key: explain(model, x, y, key=key, batch_size=rows)
        bare = functools.partial(forward_loop, passes=passes, rows=rows)
        method, method_compile = timing.compile_time(call, ours, x, y, key)
        loop, _ = timing.compile_time(bare, ours, x, y)
        with timing.alone():
            seconds, taken = timing.in_turn(
                [
                    lambda: method(ours, x, y, key),
                    lambda: loop(ours, x, y),
                    run_torch,
                    lambda: torch_forward_loop(theirs, tx, passes=passes, rows=rows),
                ],
                rounds=arguments.rounds,
            )
        memory = method.memory_analysis().temp_size_in_bytes
        table.append(
            (
                *(name, passes),
                *(f"{s:.2f}" for s in seconds),
                f"{timing.ratio(taken, 0, 1):.3f}",
                f"{timing.ratio(taken, 2, 3):.3f}",
                f"{timing.ratio(taken, 2, 0):.2f}",
                f"{method_compile:.1f}",
                f"{memory / 2**20:.0f}",
            )
        )
    header = ["method", "passes an image", "jaxattr s", "bare s", "torch s"]
    header += ["torch bare s", "overhead", "torch overhead", "times faster"]
    header += ["compile s", "temporary MiB"]
    versions = (
        f"EfficientNet-Lite0, {arguments.batch} images, {rows} rows a call; torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads"
    )
    report.write(
        arguments.name,
        "RISE and KernelSHAP against torch",
        [("", versions), ("", report.markdown(header, table))],
        SEED,
    )


if __name__ == "__main__":
    main()
