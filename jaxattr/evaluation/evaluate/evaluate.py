"""Many methods on many models over a set of images, killed and resumed at will."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import cast

import numpy as np
from jax.sharding import Mesh

import jaxattr
from jaxattr._checks import check_choice, check_integer, fail
from jaxattr.evaluation.evaluate import report
from jaxattr.evaluation.evaluate.measure import Job, measure
from jaxattr.evaluation.evaluate.metrics import (
    CLASSES,
    Metrics,
    as_metrics,
    metrics_record,
    with_options,
)
from jaxattr.evaluation.evaluate.results import Evaluation, MethodScores
from jaxattr.evaluation.methods.requests import (
    Methods,
    Requests,
    as_methods,
    as_references,
    method_record,
    prepare,
)
from jaxattr.evaluation.runs import figures, image_sets, programs
from jaxattr.evaluation.runs.devices import Devices
from jaxattr.evaluation.runs.digests import key_data
from jaxattr.evaluation.runs.figures import DEFAULT, FigureFiles
from jaxattr.evaluation.runs.files import make_folder
from jaxattr.evaluation.runs.image_sets import Arrays, ImageSet
from jaxattr.evaluation.runs.models import (
    Model,
    Models,
    References,
    as_argument,
    as_models,
    identity,
)
from jaxattr.evaluation.runs.parts import Parts
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.run_record import Run, write_run
from jaxattr.evaluation.runs.settings import claim
from jaxattr.typing import Array, LogitsFn


def evaluate(
    models: Models,
    methods: Methods,
    metrics: Metrics = ("insertion", "deletion"),
    images: str | os.PathLike[str] | Arrays | Mapping[str, Arrays] | None = None,
    labels: str | os.PathLike[str] | Arrays | Mapping[str, Arrays] | None = None,
    *,
    key: Array,
    folder: str | os.PathLike[str] | None = None,
    mesh: Mesh | None = None,
    out: str | os.PathLike[str] | None = None,
    references: References = None,
    max_images: int | None = None,
    batch_size: int = 8,
    images_per_part: int | None = None,
    explained: str = "given",
    figure_files: FigureFiles = DEFAULT,
    run: Run | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Scores attribution methods on models over a set of images.

    With ``out`` every finished batch of images is kept as soon as it is done. Killed at
    any moment and called again with the same arguments it goes on where it was and gives
    the same table as if it had not been. A method is compiled once for each model and
    size of images; a last batch that is not full is filled up, and what filled it left
    out.

    Args:
      models: name to model, or models with a ``name``, or names of ``jaxattr.models``.
        A model is a callable, best one that is a pytree; see ``LogitsFn``.
      methods: names of methods, or explainers ``(logits_fn, images, labels, *, key,
        batch_size, **options)`` of your own; with options, or under other labels, as a
        mapping: ``{"IG": ("integrated_gradients", {"num_steps": 20})}``. A function is
        known by its name and by what it encloses; one of changed code under the name it
        had needs another ``out``.
      metrics: ``insertion``, ``deletion``, ``infidelity``, ``max_sensitivity``;
        ``Curve`` for another order, substrate or number of steps; functions of your own
        by name, ``(logits_fn, images, attributions, labels, *, key, batch_size) ->
        (N,)``, or as a ``Metric``, which says what is better and may ask for the
        explainer.
      images: float ``(N, H, W, C)`` in [0, 1], or by name of a model where sizes differ;
        or a folder of photographs: one folder a class, or a table of labels in it.
      labels: integers ``(N,)``, or by name of a model; for a folder the path of the
        table, where it is not in the folder.
      key: a typed key. Image i has the map that it has in a batch of all of them.
      folder: the folder, by name, instead of ``images``.
      mesh: every batch lies on all of its devices, models on each of them; by default
        one device. It decides no number: scores are those of one device, and a folder
        of results may be gone on with on another mesh.
      out: a folder for ``images.csv``, ``summary.csv``, the figures and what is needed
        to go on; made if need be.
      references: ``(R, H, W, C)``, or a folder of photographs, for methods that need
        them.
      max_images: only the first so many photographs of a folder.
      batch_size: the most model rows in one call, on all devices together.
      images_per_part: images between one save and the next, explained as one batch; by
        default ``batch_size``, at most 16.
      explained: which class of an image: the one ``given`` or, the labels left aside,
        the one ``predicted``, which curves then follow too.
      figure_files: formats, resolution and colours of the figures.
      run: the command, for ``run.json``.
      progress: where it is reported, an item an image, method and model.

    Returns:
      An ``Evaluation``: scores as arrays, ``table()`` and ``summary()``, and which
      photographs could not be read.

    Raises:
      ValueError: unknown names or bad options, before work starts; no image that can be
        read; ``out`` holds results of other options (the difference is named).
      OSError: ``out`` cannot be written.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: 5 * jnp.mean(x, axis=(1, 2))
      >>> images = jax.random.uniform(jax.random.key(0), (3, 4, 4, 3))
      >>> found = ja.evaluation.evaluate(
      ...     {"mean": logits_fn}, ["saliency", "input_x_gradient"], ["insertion"],
      ...     images, jnp.array([0, 1, 2]), key=jax.random.key(1),
      ... )
      >>> [row[:3] for row in found.summary()[1]]
      [['mean', 'saliency', 'insertion'], ['mean', 'input_x_gradient', 'insertion']]
    """
    # Checking what is asked for.
    if isinstance(images, str | os.PathLike):
        images, folder = None, images
    if (images is None) == (folder is None):
        raise ValueError("images: expected either images and labels, or a folder")
    named, asked, scored = as_models(models), as_methods(methods), as_metrics(metrics)
    if check_choice("explained", explained, CLASSES) == "predicted":
        scored = with_options(scored, {"scored": "predicted"})
    rows = check_integer("batch_size", batch_size)
    if out is not None:
        figures.need_matplotlib()

    # The images.
    if progress:
        progress.doing("reading the photographs" if folder else "reading the images")
    if folder is not None:
        given = _read_folder(folder, named, labels, max_images, out)
    elif isinstance(labels, str | os.PathLike):
        raise fail("labels", "integers (N,), one label an image", labels)
    else:
        assert images is not None
        given = image_sets.from_arrays(images, labels, named)
    size = min(images_per_part or min(rows, 16), len(given.names))
    size = check_integer("images_per_part", size)
    job = Job(scored, key, rows, size, Devices(mesh), given, explained)

    # The methods with all that each model needs, seen to be good ones.
    prepared: dict[str, Requests] = {}
    for name, model in named.items():
        shape = given.pixels[name](np.arange(1)).shape
        argument = as_argument(model)
        classes = programs.num_classes(argument, shape)
        outside = [y for y in given.labels[name] if not 0 <= y < classes]
        if outside:
            raise fail("labels", f"classes of {name}, 0 to {classes - 1}", outside[0])
        prepared[name] = prepare(
            *(asked, shape, classes),
            lambda: as_references(references, model),
            split=programs.is_split(argument),
        )

    # The folder of results.
    parts = None
    if out is not None:
        out = make_folder(out)
        claim(out, _record(job, named, prepared))
        write_run(out, run)
        parts = Parts(out / "parts")
    if progress:
        progress.total = len(named) * len(asked) * len(given.names)

    # Measuring, a model after the other.
    labelled = {name: getattr(model, "labels", None) for name, model in named.items()}
    class_names = {name: names for name, names in labelled.items() if names}
    done: list[MethodScores] = []
    for name, model in named.items():
        for results in measure(job, name, model, prepared[name], parts, progress):
            evaluation = Evaluation(
                given.names, scored, (*done, *results), given.broken, class_names
            )
            if out is not None:
                report.write_images(out, evaluation)
        done += results
    if out is not None:
        report.write_report(out, evaluation, figure_files)
    return evaluation


def _read_folder(
    folder: str | os.PathLike[str],
    models: Mapping[str, LogitsFn],
    labels: object,
    max_images: int | None,
    out: str | os.PathLike[str] | None,
) -> ImageSet:
    """The photographs of a folder, for models that can prepare them."""
    for name, model in models.items():
        if not hasattr(model, "preprocess"):
            what = "a model with preprocess, which a folder of photographs needs"
            raise fail(f"models[{name!r}]", what, model)
    if not isinstance(labels, str | os.PathLike | None):
        raise fail("labels", "the path of a table, for a folder", labels)
    readers = cast(Mapping[str, Model], models)
    return image_sets.from_folder(
        folder, readers, table=labels, max_images=max_images, out=out
    )


def _about(model: LogitsFn) -> dict[str, object]:
    """What tells a model from others; of one of the zoo also its preprocessing."""
    preprocessing = getattr(getattr(model, "config", None), "preprocessing", None)
    return {"preprocessing": preprocessing, "weights": identity(model)}


def _record(
    job: Job, models: Mapping[str, LogitsFn], prepared: Mapping[str, Requests]
) -> dict[str, object]:
    """All that decides the results, for ``settings.json``."""
    first = next(iter(prepared.values()))
    # References are the same photographs for every model, in its own size.
    return {
        "jaxattr": jaxattr.__version__,
        "models": {name: _about(model) for name, model in models.items()},
        "methods": {label: method_record(*pair) for label, pair in first.items()},
        "explained": job.explained,
        "metrics": metrics_record(job.metrics),
        "key": key_data(job.key),
        "photographs": job.given.record,
        "batch_size": job.batch_size,
        "images_per_part": job.size,
    }
