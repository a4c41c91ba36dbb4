"""What training code puts around a network, taken off the names of its tensors.

A checkpoint often holds more than the network: PyTorch Lightning, ``torch.compile``,
averages of weights (EMA, SWA) and the libraries of robust networks each put it into a
module of their own, whose name then begins every tensor's. Two of them put the
normalisation of pixels inside too: it is part of the network and is kept.

References:
  L. Engstrom, A. Ilyas, H. Salman, S. Santurkar, D. Tsipras, "Robustness (Python
  Library)", 2019. F. Croce et al., "RobustBench: a standardized adversarial robustness
  benchmark", NeurIPS 2021, arXiv:2010.09670.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

PREFIXES = (
    "module.",  # torch.nn.DataParallel, and SWA's AveragedModel
    "_orig_mod.",  # torch.compile
    *("model.", "net.", "network."),  # Lightning, RobustBench, the robustness library
    *("ema.", "ema_model.", "model_ema.", "swa_model.", "averaged_model."),
)
AVERAGES = ("ema.", "ema_model.", "model_ema.", "swa_model.", "averaged_model.")
"""Of weights: where a file has the network twice, the average is taken."""
COUNTS = ("n_averaged", "num_updates", "decay", "initted", "step")
"""How an average was made, beside it."""
ATTACKER = "attacker."
"""The robustness library's own, which holds the network a second time."""
NORMALISERS = (
    ("normalizer.new_mean", "normalizer.new_std"),  # the robustness library
    ("normalize.mean", "normalize.std"),  # RobustBench
    ("normalizer.mean", "normalizer.std"),
    ("mean", "std"),  # DeepMind's networks
    ("mu", "sigma"),
)

Tensors = dict[str, np.ndarray]


class Unwrapped(NamedTuple):
    """A network's own tensors, and what was around them."""

    tensors: Tensors
    mean: tuple[float, ...] | None
    """Of the normalisation that was inside, one number a channel."""
    std: tuple[float, ...] | None
    notes: tuple[str, ...]
    """What was taken off and left out, in words."""


def unwrap(tensors: Mapping[str, np.ndarray]) -> Unwrapped:
    """Names without what surrounds the network.

    A prefix goes only where every name has it, so names that fit as they are stay.

    Raises:
      ValueError: for a normaliser that is none, of zeros for example.
    """
    left = dict(tensors)
    mean = std = None
    notes: list[str] = []
    while True:
        counts = [name for name in COUNTS if name in left and left[name].size == 1]
        for name in counts:
            del left[name]
        left, dropped = _one_of_two(left)
        found = None if mean is not None else _normaliser(left)
        if found is not None:
            names, mean, std = found
            left = {n: t for n, t in left.items() if n not in names}
            notes.append(
                f"its normalisation {names[0]} {_text(mean)}, {names[1]} {_text(std)} is "
                "used"
            )
        prefix = next(
            (p for p in PREFIXES if left and all(n.startswith(p) for n in left)), None
        )
        if dropped:
            notes.append(f"{dropped}* is left out")
        if prefix is not None:
            left = {n.removeprefix(prefix): t for n, t in left.items()}
            notes.append(f"{prefix} is taken off its names")
        if prefix is None and not dropped and found is None and not counts:
            return Unwrapped(left, mean, std, tuple(notes))


def _one_of_two(tensors: Tensors) -> tuple[Tensors, str]:
    """Without the second copy of the network, and its prefix."""
    starts = {prefix: any(n.startswith(prefix) for n in tensors) for prefix in PREFIXES}
    drop = ""
    if any(n.startswith(ATTACKER) for n in tensors) and starts["model."]:
        drop = ATTACKER
    elif any(starts[average] for average in AVERAGES):
        drop = next(
            (p for p in PREFIXES if starts[p] and p not in AVERAGES),
            "",
        )
    return {
        n: t for n, t in tensors.items() if not drop or not n.startswith(drop)
    }, drop


def _normaliser(
    tensors: Tensors,
) -> tuple[tuple[str, str], tuple[float, ...], tuple[float, ...]] | None:
    for names in NORMALISERS:
        if not all(name in tensors and tensors[name].size <= 4 for name in names):
            continue
        mean, std = (
            tuple(np.asarray(tensors[name], np.float64).ravel().tolist())
            for name in names
        )
        if (
            not np.isfinite([*mean, *std]).all()
            or min(std) <= 0
            or len(mean) != len(std)
        ):
            raise ValueError(
                f"weights: expected a normaliser with a finite {names[0]} and a "
                f"{names[1]} above zero, got {_text(mean)} and {_text(std)}"
            )
        return names, mean, std
    return None


def _text(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
