"""What the released codes of LA and ISA compute, kept in ``goldens/``.

By hand, with torch, and checkouts of github.com/LMBTough/LA and LMBTough/ISA::

    python tests/attributions/make_goldens.py LA_CHECKOUT ISA_CHECKOUT

Every image is a batch of its own: of a batch the released codes mix the images. The
network and the images are those of ``released_network.py``. Nothing of the codes is
changed, but that their devices are the CPU, and that the noise of ISA is zero.
"""

import ast
import pathlib
import runpy
import sys

import numpy as np
import torch

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import released_network as network

HERE = pathlib.Path(__file__).parent


def model(x):
    """The network of ``released_network`` on ``(1, C, H, W)``."""
    weights = [torch.from_numpy(w) for w in network.weights()]
    flat = x.permute(0, 2, 3, 1).reshape(len(x), -1)
    return torch.tanh(flat @ weights[0]) @ weights[1]


model.zero_grad = lambda: None


def as_torch(image):
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def as_image(array):
    height, width, channels = network.SHAPE
    return np.asarray(array).reshape(channels, height, width).transpose(1, 2, 0)


def la(checkout):
    released = runpy.run_path(str(checkout / "saliency" / "la.py"))["la"]
    maps, targets = [], []
    for i, image in enumerate(network.images()):
        np.random.seed(i)
        targets.append(np.random.choice(1000, 6, replace=False)[:-1])
        np.random.seed(i)
        found = released(
            model, as_torch(image), None, spatial_range=20, max_iter=4, sampling_times=6
        )
        maps.append(as_image(found))
    return {"maps": np.stack(maps), "targets": np.stack(targets)}


def isa(checkout):
    core = runpy.run_path(str(checkout / "saliency" / "core" / "isa.py"))
    zoo = ast.parse((checkout / "saliency" / "saliency_zoo.py").read_text())
    (function,) = (n for n in zoo.body if getattr(n, "name", "") == "ISA")
    names = {
        "torch": torch,
        "np": np,
        "exp": core["exp"],
        "tqdm": lambda steps: steps,
        "device": torch.device("cpu"),
    }
    exec(compile(ast.Module([function], []), "saliency_zoo.py", "exec"), names)
    torch.Tensor.cuda = lambda self: self
    np.random.normal = lambda size, loc, scale: np.zeros(size)
    maps = []
    for image, label in zip(network.images(), network.LABELS, strict=True):
        found = names["ISA"](
            model,
            as_torch(image),
            torch.tensor([label]),
            step_size=network.VALUES_PER_ROUND,
            add_steps=3,
            minus_steps=3,
        )
        maps.append(as_image(found))
    return {"maps": np.stack(maps)}


if __name__ == "__main__":
    for name, make, place in zip(("la", "isa"), (la, isa), sys.argv[1:], strict=True):
        np.savez_compressed(HERE / "goldens" / name, **make(pathlib.Path(place)))
