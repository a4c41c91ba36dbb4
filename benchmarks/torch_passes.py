"""Forward pass and input gradient of one model, ours and torch's in turn."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import timing
from jaxattr.gradients import gradient


class Comparison(NamedTuple):
    """One kind of pass."""

    name: str
    ours: float
    """Images a second, the median of the rounds."""
    theirs: float
    ratio: float
    """How many times faster ours is, the median over rounds."""
    ratio_at_best: float
    """The same of the fastest rounds."""
    error: float
    """Of the logits, relative to their largest."""


def compare(
    ours: Any,
    theirs: Any,
    *,
    batch: int,
    rounds: int,
    seed: int,
    tolerance: float,
    dtype: str = "float32",
) -> list[Comparison]:
    """Both passes on the same random images; the two models must agree.

    torch runs where JAX does, on a GPU with channels last; ``dtype`` is what its module
    computes in.
    """
    import torch

    on_gpu = jax.default_backend() == "gpu"
    place: dict[str, Any] = {"device": "cuda" if on_gpu else "cpu"}
    place["dtype"] = getattr(torch, dtype)
    if on_gpu:
        place["memory_format"] = torch.channels_last
        torch.set_float32_matmul_precision("high")  # TF32, as JAX multiplies there
    theirs = theirs.to(**place)
    forward = jax.jit(lambda model, x: model(x))
    ascend = jax.jit(lambda model, x, y: gradient(ja.scores.logit(model, y), x))

    def finished(result: Any) -> Any:
        if on_gpu:
            torch.cuda.synchronize()
        return result

    def torch_forward(x: Any) -> Any:
        with torch.no_grad():
            return finished(theirs(x))

    def torch_gradient(x: Any, y: Any) -> Any:
        x = x.detach().requires_grad_()
        picked = theirs(x).gather(1, y[:, None]).sum()
        return finished(torch.autograd.grad(picked, x)[0])

    shape = (batch, *ours.input_size, 3)
    images = np.asarray(jax.random.uniform(jax.random.key(seed), shape))
    x, y = jnp.asarray(images), jnp.arange(batch)
    tx = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(**place)
    ty = torch.arange(batch, device=place["device"])
    logits = torch_forward(tx).float().cpu().numpy()
    error = np.abs(forward(ours, x) - logits).max() / np.abs(logits).max()
    assert error < tolerance, f"the two models differ by {error:.1e}"
    passes = {
        "forward": (lambda: forward(ours, x), lambda: torch_forward(tx)),
        "input gradient": (lambda: ascend(ours, x, y), lambda: torch_gradient(tx, ty)),
    }
    found = []
    for name, pair in passes.items():
        medians, taken = timing.in_turn(pair, rounds=rounds)
        best = [min(column) for column in zip(*taken, strict=True)]
        rates = (batch / seconds for seconds in medians)
        ratio = timing.ratio(taken, 1, 0)
        found.append(Comparison(name, *rates, ratio, best[1] / best[0], float(error)))
    return found
