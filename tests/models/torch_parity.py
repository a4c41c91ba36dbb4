"""Networks of torchvision and timm through ``from_torch``, held against torch.

Run by hand, ``python tests/models/torch_parity.py [NAME ...]``, with the extra ``torch``,
torchvision and timm: ResNet-50, ConvNeXt-T, Swin-T, EfficientNet-B0 and ViT-S with random
weights, logits and input gradients of two images, float32 against torch's float64 where the
module allows it. Writes ``benchmarks/results/torch-models-parity.md``.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

TIMM = (
    "resnet50",
    "convnext_tiny",
    "swin_tiny_patch4_window7_224",
    "efficientnet_b0",
    "vit_small_patch16_224",
)
TORCHVISION = ("resnet50", "convnext_tiny", "swin_t", "efficientnet_b0")
TOLERANCE = 1e-4
"""Of the largest logit and the largest gradient."""
PLACE = pathlib.Path(__file__).parents[2] / "benchmarks/results/torch-models-parity.md"


def main() -> None:
    rows = []
    for library, names in (("torchvision", TORCHVISION), ("timm", TIMM)):
        for name in names:
            if sys.argv[1:] and f"{library}/{name}" not in sys.argv[1:]:
                continue
            rows.append(compare(library, name))
            print(rows[-1], flush=True)
    if not sys.argv[1:]:
        write(rows)
    if any(max(row[1:3]) > TOLERANCE for row in rows):
        raise SystemExit("further from torch than it may be")


def build(library: str, name: str) -> Any:
    """A network in evaluation mode with random weights, its norms not trivial."""
    import torch

    torch.manual_seed(0)
    if library == "timm":
        import timm

        network = timm.create_model(name)
    else:
        import torchvision

        network = torchvision.models.get_model(name, weights=None)
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    for parameter in network.parameters():
        # Scales that begin near zero would hide the branches that they scale.
        if parameter.ndim == 1 and parameter.abs().max() < 1e-3:
            parameter.data.normal_(0, 0.1, generator=generator)
    return network.eval()


def compare(library: str, name: str) -> tuple[str, float, float, float]:
    """Largest errors of logits and gradients, and of logits in bfloat16."""
    import torch

    import jaxattr as ja

    network = build(library, name)
    images = np.random.default_rng(0).random((2, 224, 224, 3), np.float32)
    model = ja.models.from_torch(network, images[:1], normalize="imagenet")
    half = ja.models.from_torch(
        network, images[:1], normalize="imagenet", dtype=jnp.bfloat16
    )

    def total(model: Any, images: Any) -> Any:
        logits = model(images)
        return logits[0, 1] + logits[1, 2], logits

    (_, got), gradient = jax.jit(jax.value_and_grad(total, 1, has_aux=True))(
        model, jnp.asarray(images)
    )
    pixels = torch.from_numpy(images).double().requires_grad_()
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)
    std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)
    logits = network.double()(((pixels - mean) / std).permute(0, 3, 1, 2))
    (logits[0, 1] + logits[1, 2]).backward()

    def error(got: Any, wanted: Any) -> float:
        wanted = wanted.detach().numpy()
        return float(np.abs(np.asarray(got) - wanted).max() / np.abs(wanted).max())

    return (
        f"{library} {name}",
        error(got, logits),
        error(gradient, pixels.grad),
        error(half(jnp.asarray(images)), logits),
    )


def write(rows: list[tuple[str, float, float, float]]) -> None:
    import torch
    import torchax

    lines = [
        "# Modules of torch through `from_torch`, held against torch",
        "",
        "Random weights, two images of 224x224 pixels, on CPU: the largest difference from "
        "torch in float64, as a",
        "share of the largest value. Written by `tests/models/torch_parity.py`; jax "
        f"{jax.__version__}, torch {torch.__version__},",
        f"torchax {torchax.__version__}.",
        "",
        "| network | logits, float32 | input gradient, float32 | logits, bfloat16 |",
        "|---|---:|---:|---:|",
        *(f"| {n} | {a:.1e} | {b:.1e} | {c:.1e} |" for n, a, b, c in rows),
    ]
    PLACE.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
