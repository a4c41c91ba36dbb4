"""Writes ``goldens/*.npz``: relevances that zennit, captum and LXT compute.

Run by hand, ``PYTHONPATH=. python tests/rules/make_goldens.py [NAME ...]``, with torch
2.13.0, and zennit 0.5.1, captum 0.9.0, lxt 2.1, torchvision 0.28.0 and tqdm installed
with ``--no-deps``. Everything is computed in float64. ``goldens/README.md`` says what
the keys mean.
"""

from __future__ import annotations

import functools
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
    from rules import peer_nets

    weights = peer_nets.vit_weights(peer_nets.TINY_VIT)
    images, labels = tiny_images(), np.array([1, 3])
    logits, maps = vit_maps(peer_nets.TINY_VIT, weights, images, labels)
    return header(weights, images, labels, logits) | maps


def small_vit() -> Arrays:
    import goldens
    from rules import peer_nets

    weights = peer_nets.vit_weights(peer_nets.SMALL_VIT)
    images, labels = goldens.images(peer_nets.SMALL_VIT.image), np.array([1, 2])
    logits, maps = vit_maps(peer_nets.SMALL_VIT, weights, images, labels)
    return {
        "checksum": goldens.checksum(weights),
        "labels": labels,
        "logits": logits,
        **{
            name: value
            for name, value in maps.items()
            if name.endswith(("/images", "/float32"))
        },
    }


def vit_maps(
    shape, weights: Arrays, images: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, Arrays]:
    import torch
    import torch_peers

    run = functools.partial(
        torch_peers.vit_maps,
        weights=weights,
        images=images,
        labels=labels,
        patch=shape.patch,
        num_heads=shape.num_heads,
    )
    logits, explicit = run(torch_peers.ExplicitRules())
    limit = run(torch_peers.ExplicitRules(1e-14))[1]
    efficient = run(torch_peers.EfficientRules())[1]
    narrow = run(torch_peers.EfficientRules(), dtype=torch.float32)[1]["images"]
    with torch_peers.signed_stabiliser():
        signed = run(torch_peers.ExplicitRules(1e-6))[1]
    variants = {"limit": limit, "explicit": explicit, "signed": signed}
    result: Arrays = {}
    for name, maps in {**variants, "efficient": efficient}.items():
        result |= prefixed(f"lxt/{name}", maps)
    full = efficient["images"]
    result["lxt/efficient/float32"] = np.abs(narrow - full).max() / np.abs(full).max()
    return logits, result


def lxt_operations() -> Arrays:
    import torch_peers

    rng = np.random.default_rng(3)
    result: Arrays = {}
    for name, (function, shapes) in torch_peers.OPERATIONS.items():
        inputs = [rng.standard_normal(shape) for shape in shapes]
        output, relevance, relevances = torch_peers.operation(function, inputs, rng)
        result |= {f"{name}/output": output, f"{name}/relevance": relevance}
        for i, value in enumerate(inputs):
            result[f"{name}/inputs/{i}"] = value
        for i, value in enumerate(relevances):
            result[f"{name}/relevances/{i}"] = value
    return result


def vgg16() -> Arrays:
    pools = ("features.4", "features.9", "features.16", "features.23", "features.30")
    return zoo("vgg16", (*pools, "avgpool"), list)


def resnet50() -> Arrays:
    import torch_peers

    layers = ("maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")
    return zoo("resnet50", layers, torch_peers.resnet_canonizers)


def zoo(name: str, places: tuple[str, ...], canonizers: Callable[[], list]) -> Arrays:
    """Zennit's relevances of normalised pixels, captum's of pixels."""
    import goldens
    import torch_nets
    import torch_peers

    case = goldens.Case(name, "torchvision")
    network, checksum = models_script().drawn(case)
    images, labels = goldens.images(case.size).astype(np.float64), np.array([1, 2])
    source = goldens.config(case).weights
    normalised, low, high = (
        (values - np.asarray(source.mean)) / np.asarray(source.std)
        for values in (images, np.zeros(3), np.ones(3))
    )
    result: Arrays = {
        "checksum": checksum,
        "labels": labels,
        "logits": torch_peers.logits(network, normalised),
        "places": np.array(places),
    }
    for composite in (*torch_peers.COMPOSITES, *torch_peers.GRADIENTS):
        run = lambda: torch_peers.zennit_maps(
            network,
            torch_peers.named_composite(composite, canonizers(), low, high),
            normalised,
            labels,
            places,
            gradient=composite in torch_peers.GRADIENTS,
        )
        result |= summaries(f"zennit/{composite}", network, run, places)
    network = torch_nets.unrolled(network)
    network = torch_nets.Normalised(network, source.mean, source.std).eval()
    arguments = (images, labels)
    zero, bases = np.zeros_like(images), baselines(images)[:2]
    other = np.broadcast_to(bases[0], images.shape)
    for key, net, method, extra in (
        ("guided_backprop", network, torch_peers.captum_guided_backprop, ()),
        ("deconvnet", network, torch_peers.captum_deconvolution, ()),
        ("deep_lift/zero", network, torch_peers.deep_lift, (zero,)),
        ("deep_lift_apart/image", torch_nets.apart, torch_peers.deep_lift, (other,)),
        (
            "deep_lift_apart/shap",
            torch_nets.apart,
            torch_peers.deep_lift_shap,
            (bases,),
        ),
    ):
        net = net(network) if net is torch_nets.apart else net
        run = lambda: {"images": method(net, *arguments, *extra)}
        result |= summaries(f"captum/{key}", net, run)
    return result


def summaries(
    prefix: str, network, run: Callable[[], Arrays], places: tuple[str, ...] = ()
) -> Arrays:
    """Of float64 maps, and how far float32 is from them, over the largest value."""
    import goldens
    import torch
    from rules import peer_nets

    maps, narrow = (
        (network.to(dtype), run())[1] for dtype in (torch.float64, torch.float32)
    )
    network.to(torch.float64)
    full = maps["images"]
    error = np.abs(narrow["images"] - full).max() / np.abs(full).max()
    print(f"{prefix}: float32 is {error:.1e} away", flush=True)
    result = {**peer_nets.summary(full), "float32": error}
    if places:
        result["layers"] = np.stack([goldens.summary(maps[name]) for name in places])
    return prefixed(prefix, result)


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
    from rules import peer_nets

    return peer_nets.baselines(images.shape[1:]).astype(np.float64)


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
    "small_vit": small_vit,
    "lxt_operations": lxt_operations,
    "vgg16": vgg16,
    "resnet50": resnet50,
}


if __name__ == "__main__":
    main()
