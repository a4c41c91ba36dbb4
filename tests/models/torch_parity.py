"""Networks of torchvision and timm through ``from_torch``, held against torch.

Run by hand, ``python tests/models/torch_parity.py [LIBRARY/NAME ...]``, with the extra
``torch``, torchvision and timm: ResNet-50, ConvNeXt-T, Swin-T, EfficientNet-B0 and ViT-S
with random weights, and networks with trained ones where ``JAXATTR_ASSETS`` has them.
Logits and input gradients of two images, against torch's in float64. Without names it
writes ``benchmarks/results/torch-models-parity.md``.
"""

from __future__ import annotations

import functools
import os
import pathlib
import sys
from importlib import metadata
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import make_goldens
import numpy as np

from jaxattr.checkpoints.reading import read_checkpoint

TIMM = (
    "resnet50",
    "convnext_tiny",
    "swin_tiny_patch4_window7_224",
    "efficientnet_b0",
    "vit_small_patch16_224",
)
TRAINED = {
    "resnet18": "resnet18_pqf-small_uber.safetensors",
    "resnet50": "resnet50_pqf-large_uber.safetensors",
    "squeezenet1_0": "squeezenet1_0_dc_songhan.safetensors",
}
"""torchvision's networks, and files of weights among the assets."""
TORCHVISION = ("resnet50", "convnext_tiny", "swin_t", "efficientnet_b0")
TOLERANCE = 1e-4
"""Of the largest logit and the largest gradient."""
ROOT = pathlib.Path(__file__).resolve().parents[2]


def main() -> None:
    sys.path.insert(0, str(ROOT))
    make_goldens.import_torchvision()
    rows = []
    trained = TRAINED if os.environ.get("JAXATTR_ASSETS") else ()
    libraries = (("torchvision", TORCHVISION), ("timm", TIMM), ("trained", trained))
    for library, names in libraries:
        for name in names:
            if sys.argv[1:] and f"{library}/{name}" not in sys.argv[1:]:
                continue
            rows.append(compare(library, name))
            print(rows[-1], flush=True)
    if not sys.argv[1:]:
        write(rows)
    if not all(row.agrees for row in rows):
        raise SystemExit("further from torch than it may be")


def build(library: str, name: str) -> Any:
    """A network in evaluation mode; with random weights, its norms are not trivial."""
    import torch

    torch.manual_seed(0)
    if library == "timm":
        import timm

        network = timm.create_model(name)
    else:
        import torchvision

        network = torchvision.models.get_model(name, weights=None)
    if library == "trained":
        path = pathlib.Path(os.environ["JAXATTR_ASSETS"], TRAINED[name])
        tensors = {n: torch.from_numpy(t) for n, t in read_checkpoint(path).items()}
        missing, unexpected = network.load_state_dict(tensors, strict=False)
        assert all(name.endswith("num_batches_tracked") for name in missing)
        assert not unexpected
        return network.eval()
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


class Row(NamedTuple):
    """Largest errors, each as a share of the largest value."""

    network: str
    logits: float
    gradient: float
    gradient_in_double: float | None
    """Where float32 puts a unit on the other side of a corner."""
    half_logits: float

    @property
    def agrees(self) -> bool:
        """Whether float32 does, or else float64, where no corner is that near."""
        gradient = self.gradient_in_double
        return (
            self.logits < TOLERANCE
            and (self.gradient if gradient is None else gradient) < TOLERANCE
        )


def compare(library: str, name: str) -> Row:
    """Logits and input gradients of two images."""
    import torch

    import jaxattr as ja

    network = build(library, name)
    images = np.random.default_rng(0).random((2, 224, 224, 3), np.float32)
    convert = functools.partial(
        ja.models.from_torch, network, images, normalize="imagenet"
    )
    model, half = convert(), convert(dtype=jnp.bfloat16)

    @jax.jit
    def explain(model: Any, images: Any) -> Any:
        def total(images: Any) -> Any:
            logits = model(images)
            return logits[0, 1] + logits[1, 2], logits

        return jax.grad(total, has_aux=True)(images)

    gradient, got = explain(model, jnp.asarray(images))
    pixels = torch.from_numpy(images).double().requires_grad_()
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)
    std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)
    logits = network.double()(((pixels - mean) / std).permute(0, 3, 1, 2))
    (logits[0, 1] + logits[1, 2]).backward()

    def error(got: Any, wanted: Any) -> float:
        wanted = wanted.detach().numpy()
        return float(np.abs(np.asarray(got) - wanted).max() / np.abs(wanted).max())

    rounded = error(gradient, pixels.grad)
    exact = None
    if rounded >= TOLERANCE:
        with jax.enable_x64(True):
            wide = explain(model, jnp.asarray(images, jnp.float64))[0]
        exact = error(wide, pixels.grad)
    return Row(
        f"{library} {name}",
        error(got, logits),
        rounded,
        exact,
        error(half(jnp.asarray(images)), logits),
    )


def write(rows: list[Row]) -> None:
    import timm
    import torch
    import torchvision

    from benchmarks import report

    text = (
        "Two images of 224 x 224 random pixels: the largest difference from torch in "
        "float64, as a share of the largest value. Random weights of torchvision's and "
        "timm's networks, in which no scale is near zero, and the trained ones at hand. "
        "Where rounding puts a unit on the other side of a ReLU's corner its gradient "
        "jumps; there the gradient is computed in float64 too. "
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm "
        f"{timm.__version__}, torchax {metadata.version('torchax')}."
    )
    header = ["network", "logits, float32", "input gradient, float32"]
    header += ["input gradient, float64", "logits, bfloat16"]
    table = [
        (name, *("" if value is None else f"{value:.1e}" for value in values))
        for name, *values in rows
    ]
    report.write(
        "torch-models-parity",
        "Modules of torch through `from_torch`, held against torch",
        [("", text), ("", report.markdown(header, table))],
        0,
    )


if __name__ == "__main__":
    main()
