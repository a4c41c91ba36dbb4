"""``{gallery}``: every registered method on the same three photographs, made by the build.

Maps are kept by what they were made from (photographs, weights, options, the library's
sources), so that a second build draws nothing that is there. Where the weights or the
photographs are not installed, the page says so and has no pictures.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

MODEL = "efficientnet_lite0"
# What is not the default here is cheaper, so that two CPU cores are done in minutes.
OPTIONS: dict[str, dict[str, object]] = {
    "agi": {"num_targets": 2},
    "attexplore": {"num_samples": 8},
    "attexplore_pp": {"attack": "mi_fgsm"},
    "bsg": {"search": "deepfool", "num_samples": 16},
    "bsm": {"search": "deepfool"},
    "big": {"search": "deepfool", "num_steps": 16},
    "expected_gradients": {"num_samples": 16},
    "fampe": {"num_samples": 8},
    "integrated_gradients": {"num_steps": 50, "rule": "gauss-legendre"},
    "isa": {"num_ascent_steps": 2, "num_descent_steps": 2},
    "kernel_shap": {"num_samples": 200},
    "la": {"num_targets": 2},
    "lime": {"num_samples": 200},
    "mfaba": {"num_steps": 20},
    "occlusion": {"window": 32, "stride": 16},
    "rise": {"num_samples": 400},
    "smoothgrad": {"num_samples": 16},
}
# Shown without the mean over the photograph, which says nothing of a place.
LEVELLED = ("rise",)
# These do not decide a map.
ELSEWHERE = {"commands", "evaluation", "photographs", "plots", "report", "training"}
BATCH_SIZE = 12
log = logging.getLogger(__name__)


class Subjects(NamedTuple):
    """The network and the photographs, all that maps are made from."""

    model: object
    images: np.ndarray
    labels: np.ndarray
    captions: list[str]
    digest: str
    boundaries: dict
    """What was found so far, by the name of the search."""


class Entry(NamedTuple):
    """One method of the page."""

    name: str
    options: dict[str, object]
    picture: pathlib.Path | None
    reason: str
    """Why there is no picture."""


class Gallery(SphinxDirective):
    """What was made, as headings and pictures."""

    def run(self) -> list[nodes.Node]:
        """The nodes of the page."""
        text = "\n".join(_page(self.config.gallery_entries, self.config.gallery_note))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def _page(entries: list[Entry], note: str) -> Iterator[str]:
    if note:
        yield from (":::{note}", note, ":::")
        return
    shown = [entry for entry in entries if entry.picture is not None]
    for entry in shown:
        yield from _section(entry)
    if others := [e for e in entries if e.picture is None]:
        yield "## Not shown\n"
        yield from (f"- {{py:obj}}`jaxattr.{e.name}`: {e.reason}" for e in others)


def _section(entry: Entry) -> Iterator[str]:
    import api_pages

    import jaxattr

    title = entry.name.replace("_", r"\_")
    yield f"## {title}\n" if entry.name != "photographs" else "## The photographs\n"
    if entry.name != "photographs":
        words = inspect.getdoc(getattr(jaxattr, entry.name)) or ""
        first = api_pages.safe(" ".join(words.split("\n\n")[0].split()))
        given = ", ".join(f"{k}={v!r}" for k, v in entry.options.items())
        yield "```{eval-rst}"
        yield f":py:obj:`jaxattr.{entry.name}`: {first}" + (
            f" Here with ``{given}``." if given else ""
        )
        if entry.name in LEVELLED:
            yield "The mean over the photograph is taken off each map."
        yield "```\n"
    assert entry.picture is not None
    yield f"![{entry.name} of the three photographs](/{entry.picture})\n"


def make(app: Sphinx) -> None:
    """Makes what is missing, before any page is read."""
    root = pathlib.Path(app.srcdir)
    app.config.gallery_entries, app.config.gallery_note = [], ""
    if os.environ.get("JAXATTR_DOCS_GALLERY", "on") == "off":
        app.config.gallery_note = (
            "This copy of the site was built without its gallery "
            "(`JAXATTR_DOCS_GALLERY=off`)."
        )
        return
    try:
        subjects = _subjects(root)
    except (ImportError, ValueError) as error:
        app.config.gallery_note = f"The gallery could not be made: {error}."
        return
    folder = pathlib.Path(app.confdir) / "_build" / ".gallery"
    folder.mkdir(parents=True, exist_ok=True)
    for entry in _entries(subjects, folder):
        picture = entry.picture and entry.picture.relative_to(root)
        app.config.gallery_entries.append(entry._replace(picture=picture))


def _subjects(root: pathlib.Path) -> Subjects:
    import jax
    from PIL import Image

    import jaxattr as ja
    from jaxattr.evaluation.explain import demo
    from jaxattr.models.catalog import MODELS
    from jaxattr.models.finding import locate

    model = ja.models.load(MODEL)
    folder = root / "docs" / "_build" / ".gallery"
    files = [demo._bundled(name, folder) for name in demo.PHOTOGRAPHS]
    images = np.stack([model.preprocess(Image.open(file)) for file in files])
    logits = jax.nn.softmax(model(images))
    labels = np.asarray(logits.argmax(-1))
    captions = [
        f"{model.labels[k]}, {p[k]:.0%}" for k, p in zip(labels, logits, strict=True)
    ]
    weights = locate(MODEL, MODELS[MODEL].sources)
    sources = [
        path
        for path in sorted((root / "jaxattr").rglob("*.py"))
        if path.relative_to(root / "jaxattr").parts[0] not in ELSEWHERE
    ]
    digest = hashlib.sha256(images.tobytes())
    for path in (weights, *sources):
        digest.update(path.read_bytes())
    return Subjects(model, images, labels, captions, digest.hexdigest(), {})


def _entries(subjects: Subjects, folder: pathlib.Path) -> Iterator[Entry]:
    from jaxattr.evaluation.methods.registry import methods

    yield Entry("photographs", {}, _draw(folder, "photographs", subjects, None), "")
    for name, method in methods().items():
        options = OPTIONS.get(name, {})
        if method.needs_attention:
            reason = "it needs a vision transformer, and the network here is none."
            yield Entry(name, options, None, reason)
            continue
        mark = json.dumps([name, options, BATCH_SIZE, subjects.digest])
        file = folder / f"{name}-{hashlib.sha256(mark.encode()).hexdigest()[:16]}.npz"
        if not file.is_file():
            log.info("gallery: %s", name)
            try:
                maps = _maps(method, options, subjects)
            except (TypeError, ValueError) as error:
                reason = f"it needs more than an image and a label ({error})."
                yield Entry(name, options, None, " ".join(reason.split()))
                continue
            partial = file.with_suffix(".partial.npz")
            np.savez_compressed(partial, maps=maps.astype(np.float32))
            partial.replace(file)
        with np.load(file) as kept:
            picture = _draw(folder, file.stem, subjects, kept["maps"])
        yield Entry(name, options, picture, "")


def _boundary(search: object, subjects: Subjects):
    """The boundary points of the photographs: searched once, explained with thrice."""
    import jax

    import jaxattr as ja

    if search not in subjects.boundaries:
        run = jax.jit(functools.partial(ja.nearest_boundary, search=search))
        subjects.boundaries[search] = run(
            subjects.model, subjects.images, subjects.labels, key=jax.random.key(0)
        )
    return subjects.boundaries[search]


def _maps(method, options: dict[str, object], subjects: Subjects) -> np.ndarray:
    import jax

    needs = {"batch_size": BATCH_SIZE} | options
    if method.needs_key:
        needs["key"] = jax.random.key(0)
    if "search" in options:
        needs["search"] = _boundary(options["search"], subjects)
    if method.needs_references:
        needs["references"] = subjects.images
    fixed = functools.partial(method.explain, **needs)
    maps = np.asarray(jax.jit(fixed)(subjects.model, subjects.images, subjects.labels))
    jax.clear_caches()
    if not np.isfinite(maps).any():
        raise ValueError("no map came out")
    return maps


def _draw(
    folder: pathlib.Path, stem: str, subjects: Subjects, maps: np.ndarray | None
) -> pathlib.Path:
    from matplotlib.figure import Figure

    from jaxattr import plots

    path = folder / f"{stem}.jpg"
    if path.is_file() and maps is not None:
        return path
    figure = Figure(figsize=(8, 2.85), layout="constrained")
    axes = figure.subplots(1, len(subjects.images))
    for i, ax in enumerate(axes):
        if maps is None:
            ax.imshow(subjects.images[i])
            ax.set_axis_off()
            ax.set_title(subjects.captions[i], fontsize=10)
        else:
            level = maps[i].mean() if stem.split("-")[0] in LEVELLED else 0.0
            plots.attribution_map(maps[i] - level, ax)
    figure.savefig(path, dpi=100, pil_kwargs={"quality": 82})
    return path


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive and what makes its pictures."""
    app.add_config_value("gallery_entries", [], "")
    app.add_config_value("gallery_note", "", "")
    app.add_directive("gallery", Gallery)
    app.connect("builder-inited", make)
    app.connect("env-get-outdated", lambda *_: ["docs/gallery"])
    return {"parallel_read_safe": True, "parallel_write_safe": True}
