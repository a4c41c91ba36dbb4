"""Metrics as Quantus has them, and ROAD's imputation as published; run by hand.

    pip install torch scikit-image quantus==0.6.0 grad-cam==1.5.7
    python tests/metrics/make_metric_goldens.py

The imputation is that of github.com/tleemann/road_evaluation, of which grad-cam holds a
copy, without its noise.
"""

import pathlib

import numpy as np
import quantus
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from quantus.helpers.utils import get_superpixel_segments

PATH = pathlib.Path(__file__).parent / "goldens" / "metrics.npz"
QUIET = {"disable_warnings": True, "normalise": False, "return_aggregate": False}

np.trapz = getattr(np, "trapz", np.trapezoid)  # Quantus is older than NumPy 2.4


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(16 * 16, 12, bias=False)
        self.last = torch.nn.Linear(12, 4, bias=False)

    def forward(self, x):
        return self.last(torch.tanh(self.hidden(x.flatten(1))))


def imputations(rng):
    """Blobs, noise, nearly everything and a border, of images of two sizes."""
    found = {}
    for name, (height, width) in {"even": (16, 16), "odd": (13, 9)}.items():
        image = rng.random((3, height, width)).astype(np.float32)
        y, x = np.mgrid[:height, :width]
        masks = np.stack(
            [
                (y - 6) ** 2 + (x - 4) ** 2 < 16,
                rng.random((height, width)) < 0.5,
                rng.random((height, width)) < 0.97,
                y < height // 2,
                ~((y == height - 1) & (x == 0)),
            ]
        )
        impute = NoisyLinearImputer(noise=0.0)
        known = torch.tensor(~masks).float()
        found[f"{name}.image"], found[f"{name}.missing"] = image, masks
        found[f"{name}.imputed"] = np.stack(
            [impute(torch.tensor(image), mask).numpy() for mask in known]
        )
    return found


def main():
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    model = Network().eval()
    with torch.no_grad():
        model.hidden.weight.mul_(8)
        model.last.weight.mul_(6)
    images = rng.random((3, 1, 16, 16)).astype(np.float32)
    images[:, :, 4:10, 5:12] += 0.6
    images = np.clip(images / 1.6, 0, 1)
    maps = rng.normal(size=(3, 1, 16, 16)).astype(np.float32)
    masks = np.zeros((3, 1, 16, 16), bool)
    masks[:, :, 2:12, 3:14] = True
    logits = model(torch.tensor(images)).detach().numpy()
    labels = logits.argmax(1)
    given = {"model": model, "x_batch": images, "y_batch": labels}
    found = imputations(rng) | {
        "images": np.moveaxis(images, 1, -1),
        "maps": maps[:, 0],
        "labels": labels,
        "masks": masks[:, 0],
        "hidden": model.hidden.weight.detach().numpy(),
        "last": model.last.weight.detach().numpy(),
        "logits": logits,
    }
    for name, metric in {
        "sparseness": quantus.Sparseness(abs=True, **QUIET),
        "complexity": quantus.Complexity(abs=True, **QUIET),
        "pointing_game": quantus.PointingGame(abs=False, **QUIET),
        "irof": quantus.IROF(perturb_baseline=0.0, **QUIET),
    }.items():
        found[name] = np.array(
            metric(**given, a_batch=maps.copy(), s_batch=masks), float
        )
    found["segments"] = np.stack(
        [
            get_superpixel_segments(
                np.moveaxis(image, 0, -1).astype("double"), segmentation_method="slic"
            )
            for image in images
        ]
    )
    # Correlation over random sets of values, which are kept.
    sets, choose = [], np.random.choice

    def kept(*args, **kwargs):
        sets.append(choose(*args, **kwargs))
        return sets[-1]

    np.random.seed(0)
    np.random.choice = kept
    correlation = quantus.FaithfulnessCorrelation(
        nr_runs=20, subset_size=60, perturb_baseline=0.0, abs=False, **QUIET
    )
    found["faithfulness_correlation"] = np.array(
        correlation(**given, a_batch=maps.copy(), softmax=False), float
    )
    found["sets"] = np.array(sets).reshape(20, 3, 60)
    PATH.parent.mkdir(exist_ok=True)
    np.savez_compressed(PATH, **found)
    for name, value in found.items():
        print(name, value.shape, value if value.size < 4 else "")


if __name__ == "__main__":
    main()
