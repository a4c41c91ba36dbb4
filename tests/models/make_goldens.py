"""Writes ``goldens/*.npz``: what torchvision and timm compute with drawn weights.

Run by hand, ``python tests/models/make_goldens.py [MODEL ...]``, with torch 2.13.0, and
torchvision 0.28.0 and timm 1.0.31 installed with ``--no-deps``. Everything is computed
in float64.
"""

from __future__ import annotations

import collections
import pathlib
import re
import sys
from typing import Any

import numpy as np

IGNORED_SUFFIXES = (
    "num_batches_tracked",
    "relative_position_index",
    "relative_coords_table",
)
ALIASES = (
    # The name of a layer here, and that of the module there which gives its output.
    # Torchvision's.
    (r"^stem$", "relu"),
    (r"^stem$", "bn1"),
    (r"^head$", "bn2"),
    (r"^features\.(\d+)\.(\d+)$", lambda m: f"blocks.{int(m[1]) - 1}.{m[2]}"),
    (r"^features\.[78]$", "bn2"),
    (
        r"^trunk_output\.block(\d)\.block\d-(\d+)$",
        lambda m: f"s{m[1]}.b{int(m[2]) + 1}",
    ),
    (r"^features\.0$", "stem"),
    (r"^features\.0$", "patch_embed"),
    (r"^features\.(\d)\.(\d+)$", lambda m: f"layers.{int(m[1]) // 2}.blocks.{m[2]}"),
    (r"^features\.([246])$", lambda m: f"layers.{int(m[1]) // 2}.downsample"),
    (r"^features\.(\d)\.(\d+)$", lambda m: f"stages.{int(m[1]) // 2}.blocks.{m[2]}"),
    (r"^features\.([246])$", lambda m: f"stages.{int(m[1]) // 2}.downsample"),
    (r"^classifier\.0$", "head.norm"),
    (r"^classifier\.2$", "head.fc"),
    (r"^avgpool$", "head.global_pool"),
    (r"^fc$", "head.fc"),
    (r"^fc$", "logits"),
    (r"^tokens$", "encoder.dropout"),
    (r"^blocks\.(\d+)$", r"encoder.layers.encoder_layer_\1"),
    (r"^norm$", "encoder.ln"),
    (r"^norm$", "classifier.2"),
    (r"^pool$", "classifier.0"),
    (r"^head$", "heads"),
    # Of robust networks for CIFAR-10.
    (r"^block(\d+)\.(\d+)$", r"block\1.layer.\2"),
    (r"^norm$", "relu"),
    # Timm's.
    (r"^tokens$", "norm_pre"),
    (r"^features\.0$", "bn1"),
    (r"^features\.18$", "bn2"),
    (r"^pool$", "global_pool"),
    (r"^classifier\.1$", "pre_logits.act1"),
    (r"^classifier\.4$", "pre_logits.act2"),
    (r"^classifier\.6$", "head.fc"),
    (r"^avgpool$", "global_pool"),
    (r"^classifier\.1$", "act2"),
    (r"^classifier\.3$", "classifier"),
    (r"^layers\.2$", "bn1"),
    (r"^layers\.7$", "blocks.0.0"),
    (r"^layers\.16$", "bn2"),
    (r"^layers\.(\d+)\.(\d+)$", lambda m: f"blocks.{int(m[1]) - 7}.{m[2]}"),
)
"""What the libraries call layers that have another name here."""


def main() -> None:
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    import goldens

    if not sys.argv[1:] or not all(name.startswith("cifar") for name in sys.argv[1:]):
        import_torchvision()
    goldens.FOLDER.mkdir(exist_ok=True)
    for case in goldens.CASES:
        if not sys.argv[1:] or case.model in sys.argv[1:]:
            write(case)
            print(f"{case.path.name}: {case.path.stat().st_size} bytes", flush=True)


def write(case: Any) -> None:
    import goldens
    import torch

    from jaxattr.models.classifier import layer_names

    source = goldens.config(case).weights
    network, checksum = drawn(case)
    layers: dict[str, np.ndarray] = {}
    modules = dict(network.named_modules())
    chain = layer_names(goldens.config(case))
    for name in chain:
        module = find(name, modules, chain)
        if module is not None:
            module.register_forward_hook(
                lambda _, inputs, output, name=name: layers.__setitem__(
                    name,
                    goldens.summary(
                        channels_last(after(name, inputs, output), "swin" in case.model)
                    ),
                )
            )
    images = torch.from_numpy(goldens.images(case.size)).double().requires_grad_()
    mean, std = (
        torch.tensor(v, dtype=torch.float64) for v in (source.mean, source.std)
    )
    logits = network(((images - mean) / std).permute(0, 3, 1, 2))
    (gradient,) = torch.autograd.grad(logits[0, 1] + logits[1, 2], images)
    missing = goldens.missing_layers(case, layers)
    assert len(missing) <= goldens.MAX_MISSING, f"{case}: nothing is called {missing}"
    np.savez_compressed(
        case.path,
        checksum=checksum,
        logits=logits.detach().numpy(),
        names=np.array(list(layers)),
        layers=np.stack(list(layers.values())),
        gradient=goldens.summary(gradient.numpy()),
        gradient_max=gradient.abs().max().numpy(),
    )


def drawn(case: Any) -> tuple[Any, int]:
    """The network in float64, its weights drawn by their names, and their checksum."""
    import goldens
    import torch

    source = goldens.config(case).weights
    network = build(case, source).double().eval()
    ignored = (*source.ignored_prefixes, "num_batches")
    shapes = {
        name: tensor.shape
        for name, tensor in network.state_dict().items()
        if not name.endswith(IGNORED_SUFFIXES) and not name.startswith(ignored)
    }
    tensors = goldens.checkpoint(shapes)
    as_torch = collections.OrderedDict(
        (name, torch.from_numpy(t).double()) for name, t in tensors.items()
    )
    # MnasNet looks at its version there.
    as_torch._metadata = network.state_dict()._metadata
    result = network.load_state_dict(as_torch, strict=False)
    assert not result.unexpected_keys
    kept = {n for n in result.missing_keys if not n.endswith(IGNORED_SUFFIXES)}
    assert all(n.startswith(ignored) for n in kept), kept
    return network, goldens.checksum(tensors)


def import_torchvision() -> None:
    """Built for another torch, it lacks two operators that classifiers do not use."""
    import torch

    schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + schema)
    LIBRARIES.append(library)
    import torchvision

    assert torchvision.__version__.startswith("0.28.0")


LIBRARIES: list[Any] = []
"""Kept alive: an operator lasts as long as its library."""


def build(case: Any, source: Any) -> Any:
    import goldens

    if case.model.endswith("_convstem"):
        import stem_networks

        return stem_networks.build(case.model, goldens.NUM_CLASSES)
    if case.source in ("robustbench", "deepmind"):
        import cifar_networks

        return cifar_networks.build(case.model, case.source, goldens.NUM_CLASSES)
    import timm
    import torchvision

    if case.source == "timm" and source.location is None:
        return timm.create_model(f"tf_{case.model}", num_classes=goldens.NUM_CLASSES)
    if case.source == "timm":
        name = source.location.repository.removeprefix("timm/").partition(".")[0]
        return timm.create_model(name, num_classes=goldens.NUM_CLASSES)
    options = {"num_classes": goldens.NUM_CLASSES}
    if case.model == "inception_v3":
        # The input transform is part of the normalisation here.
        options |= {"transform_input": False, "init_weights": False}
    return getattr(torchvision.models, case.model)(**options)


def find(name: str, modules: dict[str, Any], chain: tuple[str, ...]) -> Any:
    """The module whose output a layer is, or None where it is a function there."""
    names = [name, *(re.sub(p, r, name) for p, r in ALIASES if re.match(p, name))]
    # timm's mobile networks count their blocks within stages.
    blocks = [n for n in modules if re.fullmatch(r"blocks\.\d+\.\d+", n)]
    index = re.fullmatch(r"features\.(\d+)", name)
    if index and "features.1" in chain and 0 < int(index[1]) <= len(blocks):
        names.insert(1, blocks[int(index[1]) - 1])
    index = re.fullmatch(r"blocks\.(\d+)", name)
    if index and blocks:
        names.insert(0, blocks[int(index[1])])
    # DeepMind's wide networks count stages from zero.
    stage = re.fullmatch(r"block(\d+)\.(\d+)", name)
    if stage:
        names.append(f"layer.{int(stage[1]) - 1}.block.{stage[2]}")
    # Before its first norm a wide network's stem is a convolution.
    if name == "stem" and "block1" in modules:
        names = ["conv1"]
    elif name == "stem" and "init_conv" in modules:
        names = ["init_conv"]
    return next((modules[n] for n in names if n in modules), None)


def after(name: str, inputs: Any, output: Any) -> Any:
    """What a layer hands on, where a function between the modules makes it."""
    import torch

    if "denselayer" in name:
        return torch.cat([*inputs[0], output], 1)
    if name == "features.norm5":
        return torch.relu(output)
    return output


def channels_last(output: Any, already: bool) -> np.ndarray:
    output = output.detach()
    if output.ndim == 4 and not already:
        output = output.permute(0, 2, 3, 1)
    return output.numpy()


if __name__ == "__main__":
    main()
