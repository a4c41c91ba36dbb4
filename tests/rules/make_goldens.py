"""Writes ``goldens/*.npz``: relevances that zennit, captum and LXT compute.

Run by hand, ``PYTHONPATH=. python tests/rules/make_goldens.py [NAME ...]``, with torch
2.13.0, and zennit 0.5.1, captum 0.9.0, lxt 2.1, torchvision 0.28.0 and tqdm installed
with ``--no-deps``. Everything is computed in float64. ``goldens/README.md`` says what
the keys mean.
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys
from collections.abc import Callable

import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
FOLDER = TESTS / "rules" / "goldens"
Arrays = dict[str, np.ndarray]


def main() -> None:
    sys.path[:0] = [str(TESTS), str(TESTS / "rules")]
    models_script().import_torchvision()
    FOLDER.mkdir(exist_ok=True)
    for name, make in FILES.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            path = FOLDER / f"{name}.npz"
            np.savez_compressed(path, **make())
            print(f"{path.name}: {path.stat().st_size} bytes", flush=True)


def tiny_conv() -> Arrays:
    import torch_nets
    import torch_peers

    weights = drawn_weights(conv1=(3, 3, 3, 4), conv2=(3, 3, 4, 5), dense=(80, 5))
    network = torch_nets.tiny_conv(weights).eval()
    images, labels = tiny_images(), np.array([1, 3])
    places = ("relu1", "relu2", "pool")
    composites = {name: torch_peers.rule_composite(name) for name in torch_peers.RULES}
    composites["z_box"] = torch_peers.box_composite(0.0, 1.0)
    for name in (*torch_peers.COMPOSITES, *torch_peers.GRADIENTS):
        composites[name] = torch_peers.named_composite(name)
    result = header(weights, images, labels, torch_peers.logits(network, images))
    for name, composite in {**composites, "gradient": None}.items():
        gradient = name in ("gradient", *torch_peers.GRADIENTS)
        maps = torch_peers.zennit_maps(
            network, composite, images, labels, places, gradient
        )
        result |= prefixed(f"zennit/{name}", maps)
    apart = torch_nets.apart(network)
    return (
        result
        | captum_maps(network, images, labels)
        | deep_lift_maps(apart, images, labels, "captum/deep_lift_apart")
    )


def tiny_residual() -> Arrays:
    import torch_nets
    import torch_peers

    weights = drawn_weights(
        conv1=(3, 3, 3, 4),
        norm1=4,
        conv2=(3, 3, 4, 4),
        norm2=4,
        conv3=(3, 3, 4, 4),
        norm3=4,
        conv4=(1, 1, 4, 6),
        dense=(6, 5),
    )
    network = torch_nets.tiny_residual(weights).eval()
    images, labels = tiny_images(), np.array([1, 3])
    places = ("relu1", "block.relu2", "block", "relu3", "pool", "relu4", "mean")
    result = header(weights, images, labels, torch_peers.logits(network, images))
    composites = {
        name: torch_peers.named_composite(name, [torch_peers.ExactMerge()])
        for name in (*torch_peers.COMPOSITES, *torch_peers.GRADIENTS)
    }
    composites["epsilon_plus_unfolded"] = torch_peers.named_composite("epsilon_plus")
    for name, composite in {**composites, "gradient": None}.items():
        gradient = name in ("gradient", *torch_peers.GRADIENTS)
        maps = torch_peers.zennit_maps(
            network, composite, images, labels, places, gradient
        )
        result |= prefixed(f"zennit/{name}", maps)
    return result | captum_maps(network, images, labels)


def tiny_smooth() -> Arrays:
    import torch_nets
    import torch_peers

    weights = drawn_weights(
        conv1=(3, 3, 3, 4), conv2=(3, 3, 4, 5), dense1=(80, 7), dense2=(7, 5)
    )
    network = torch_nets.tiny_smooth(weights).eval()
    images, labels = tiny_images(), np.array([1, 3])
    result = header(weights, images, labels, torch_peers.logits(network, images))
    return result | captum_maps(network, images, labels)


def tiny_vit() -> Arrays:
    import goldens
    import torch_peers

    weights = goldens.checkpoint(
        vit_shapes(image=8, patch=4, channels=8, hidden=12, depth=1, classes=5)
    )
    images, labels = tiny_images(), np.array([1, 3])
    options = {"patch": 4, "num_heads": 2}
    result: Arrays = {}
    for name, rules in {
        "explicit": torch_peers.ExplicitRules(),
        "limit": torch_peers.ExplicitRules(1e-14),
        "efficient": torch_peers.EfficientRules(),
    }.items():
        logits, maps = torch_peers.vit_maps(rules, weights, images, labels, **options)
        result |= prefixed(f"lxt/{name}", maps)
    return header(weights, images, labels, logits) | result


def captum_maps(network, images: np.ndarray, labels: np.ndarray) -> Arrays:
    """DeepLIFT of three kinds of baselines, and the gradients through ReLUs."""
    import torch_peers

    arguments = (network, images, labels)
    return {
        "baselines": baselines(images).astype(np.float32),
        "baseline_logits": torch_peers.logits(network, baselines(images)),
        **deep_lift_maps(*arguments, "captum/deep_lift"),
        "captum/guided_backprop": torch_peers.captum_guided_backprop(*arguments),
        "captum/deconvnet": torch_peers.captum_deconvolution(*arguments),
    }


def deep_lift_maps(
    network, images: np.ndarray, labels: np.ndarray, prefix: str
) -> Arrays:
    """Zero, the first baseline, one an image (the last two), and the mean of all."""
    import torch_peers

    bases = baselines(images)
    one_each = {
        "zero": np.zeros_like(images),
        "image": np.broadcast_to(bases[0], images.shape),
        "each": bases[1 : 1 + len(images)],
    }
    maps = {
        name: torch_peers.deep_lift(network, images, labels, baseline)
        for name, baseline in one_each.items()
    }
    maps["shap"] = torch_peers.deep_lift_shap(network, images, labels, bases)
    return prefixed(prefix, maps)


def baselines(images: np.ndarray) -> np.ndarray:
    """Three, in [0, 1]."""
    rng = np.random.default_rng(2)
    return rounded(rng.random((3, *images.shape[1:])))


def tiny_images() -> np.ndarray:
    """One image in [0, 1], one of values of both signs; no more digits than float32."""
    rng = np.random.default_rng(1)
    return rounded(np.stack([rng.random((8, 8, 3)), rng.standard_normal((8, 8, 3))]))


def rounded(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(np.float64)


def drawn_weights(**shapes: int | tuple[int, ...]) -> Arrays:
    """Of layers by their kernels' shapes, and of norms by their number of channels."""
    rng = np.random.default_rng(0)
    weights: Arrays = {}
    for name, shape in shapes.items():
        if isinstance(shape, int):
            weights[f"{name}/scale"] = 1 + rng.normal(0, 0.4, shape)
            weights[f"{name}/bias"] = rng.normal(0, 0.2, shape)
            weights[f"{name}/mean"] = rng.normal(0, 0.3, shape)
            weights[f"{name}/var"] = np.exp(rng.normal(0, 0.5, shape))
        else:
            deviation = (2 / np.prod(shape[:-1])) ** 0.5
            weights[f"{name}/kernel"] = rng.normal(0, deviation, shape)
            weights[f"{name}/bias"] = rng.normal(0, 0.2, shape[-1])
    return {name: value.astype(np.float32) for name, value in weights.items()}


def vit_shapes(
    *, image: int, patch: int, channels: int, hidden: int, depth: int, classes: int
) -> dict[str, tuple[int, ...]]:
    """Of a vision transformer's weights, as timm names and lays them out."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, channels),
        "pos_embed": (1, (image // patch) ** 2 + 1, channels),
        "patch_embed.proj.weight": (channels, 3, patch, patch),
        "norm.weight": (channels,),
        "head.weight": (classes, channels),
    }
    for name in (f"blocks.{i}" for i in range(depth)):
        shapes |= {
            f"{name}.norm1.weight": (channels,),
            f"{name}.attn.qkv.weight": (3 * channels, channels),
            f"{name}.attn.proj.weight": (channels, channels),
            f"{name}.norm2.weight": (channels,),
            f"{name}.mlp.fc1.weight": (hidden, channels),
            f"{name}.mlp.fc2.weight": (channels, hidden),
        }
    biases = {
        n.replace(".weight", ".bias"): s[:1] for n, s in shapes.items() if "weight" in n
    }
    return shapes | biases


def header(
    weights: Arrays, images: np.ndarray, labels: np.ndarray, logits: np.ndarray
) -> Arrays:
    own = {"images": images.astype(np.float32), "labels": labels, "logits": logits}
    return prefixed("weights", weights) | own


def prefixed(prefix: str, arrays: Arrays) -> Arrays:
    """Relevances are rounded to float32."""
    return {f"{prefix}/{n}": np.asarray(a, np.float32) for n, a in arrays.items()}


def models_script():
    path = TESTS / "models" / "make_goldens.py"
    spec = importlib.util.spec_from_file_location("make_model_goldens", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILES: dict[str, Callable[[], Arrays]] = {
    "tiny_conv": tiny_conv,
    "tiny_residual": tiny_residual,
    "tiny_smooth": tiny_smooth,
    "tiny_vit": tiny_vit,
}


if __name__ == "__main__":
    main()
