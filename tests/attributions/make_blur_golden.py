"""What the authors' code of Blur IG computes, kept in ``goldens/blur_ig.npz``.

By hand, with ``pip install saliency``: ``python make_blur_golden.py``. The
derivative in the scale is their difference over 1e-6 in place of 0.01: the limit is what
the library computes.
"""

import pathlib
import sys

import numpy as np
from saliency.core import INPUT_OUTPUT_GRADIENTS, BlurIG

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import released_network as network


def gradients(images, call_model_args=None, expected_keys=None):
    """Of the logit of the label, by hand: two matrices and a hyperbolic tangent."""
    first, second = network.weights()
    hidden = np.tanh(images.reshape(len(images), -1) @ first)
    slope = (1 - hidden**2) * second[:, call_model_args["label"]]
    return {INPUT_OUTPUT_GRADIENTS: (slope @ first.T).reshape(images.shape)}


if __name__ == "__main__":
    maps = [
        BlurIG().GetMask(
            image, gradients, {"label": label}, max_sigma=3, steps=6, grad_step=1e-6
        )
        for image, label in zip(network.images(), network.LABELS, strict=True)
    ]
    place = pathlib.Path(__file__).parent / "goldens" / "blur_ig.npz"
    np.savez_compressed(place, maps=np.stack(maps))
