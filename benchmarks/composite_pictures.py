"""Draws ``docs/figures/composites.png``: the map of every named composite.

    python -m benchmarks.composite_pictures

Of the default model, and of the photograph of a cat that the demo explains.
"""

from __future__ import annotations

import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import jaxattr as ja
from jaxattr import plots, rules
from jaxattr.evaluation.explain import demo
from jaxattr.evaluation.runs.figures import new_figure, save
from jaxattr.photographs.reading import read_photograph
from jaxattr.plots._style import bare

FILE = pathlib.Path(__file__).parents[1] / "docs" / "figures" / "composites.png"
COLUMNS = 3


def main() -> None:
    """Explains, draws, and writes the file."""
    model = ja.models.load("efficientnet_lite0")
    with tempfile.TemporaryDirectory() as folder:
        path = demo._bundled("chelsea", pathlib.Path(folder))
        image = model.preprocess(read_photograph(path))
    images = jnp.asarray(image)[None]
    logits = model(images)
    labels = jnp.argmax(logits, -1)
    score = float(jnp.max(logits))
    figure = new_figure((7.0, 7.6))
    axes = figure.subplots(-(-(1 + len(rules.COMPOSITES)) // COLUMNS), COLUMNS)
    photograph, *panels = axes.ravel()
    photograph.imshow(np.asarray(image), interpolation="antialiased")
    photograph.set_title(
        f"{model.labels[int(labels[0])]}, score {score:.1f}", fontsize=9
    )
    bare(photograph)
    for name, ax in zip(rules.COMPOSITES, panels, strict=True):
        run = jax.jit(lambda x, y: ja.lrp(model, x, y, composite=name))
        maps = np.asarray(run(images, labels))
        plots.attribution_map(maps[0], ax)
        ax.set_title(f"{name}\nsum {maps.sum():.3g}", fontsize=9)
        print(name, maps.sum(), np.abs(maps).max(), flush=True)
    save(figure, FILE)
    reduced = Image.open(FILE).convert("P", palette=Image.Palette.ADAPTIVE, colors=128)
    reduced.save(FILE, optimize=True)


if __name__ == "__main__":
    main()
