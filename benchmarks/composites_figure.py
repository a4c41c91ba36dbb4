"""Draws ``docs/figures/composites.jpg``: one photograph, a map by every composite.

The default model, and a photograph that comes with scikit-image. Under each map stands
the share of the logit that reaches the pixels: the rest stayed with biases.
"""

from __future__ import annotations

import argparse
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from jaxattr import plots, rules
from jaxattr.attributions.lrp import lrp
from jaxattr.photographs.reading import read_photograph

FIGURE = pathlib.Path(__file__).parents[1] / "docs" / "figures" / "composites.jpg"
COLUMNS = 3


def photograph() -> pathlib.Path:
    """The cat of scikit-image."""
    import skimage

    return pathlib.Path(skimage.__file__).parent / "data" / "chelsea.png"


def draw(image: np.ndarray, maps: dict[str, np.ndarray], logit: float) -> None:
    """The photograph, then the maps in the order in which they are given."""
    from matplotlib.figure import Figure

    rows = -(-(1 + len(maps)) // COLUMNS)
    figure = Figure(figsize=(2.1 * COLUMNS, 2.35 * rows), layout="constrained")
    first, *others = figure.subplots(rows, COLUMNS).ravel()
    first.imshow(np.clip(image, 0, 1))
    first.set_title(f"logit {logit:.1f}", fontsize=10, pad=5)
    for ax in (first, *others[len(maps) :]):
        ax.set_axis_off()
    for ax, (name, values) in zip(others, maps.items()):
        plots.attribution_map(values, ax, title=name)
        share = values.sum() / logit
        ax.set_xlabel(f"{ax.get_xlabel()}, sum {share:.0%}", fontsize=8)
    figure.savefig(FIGURE, dpi=100, pil_kwargs={"quality": 85})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="efficientnet_lite0")
    name = parser.parse_args().model
    model = ja.models.load(name)
    pixels = model.preprocess(read_photograph(photograph()))
    images = jnp.asarray(pixels)[None]
    logits = jax.jit(model)(images)
    labels = jnp.argmax(logits, -1)
    maps = {}
    for composite in rules.COMPOSITES:
        run = jax.jit(functools.partial(lrp, composite=composite))
        maps[composite] = np.asarray(run(model, images, labels))[0]
        print(composite, maps[composite].sum(), flush=True)
    draw(np.asarray(images[0]), maps, float(logits[0, labels[0]]))


if __name__ == "__main__":
    main()
