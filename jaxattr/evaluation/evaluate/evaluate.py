"""Many methods on many models over a set of images, killed and resumed at will."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterable

import numpy as np
from jax.sharding import Mesh

import jaxattr
from jaxattr._checks import check_choice, check_integer, check_single_key, fail
from jaxattr._locations import as_path
from jaxattr.evaluation.evaluate import outputs
from jaxattr.evaluation.evaluate.curves import CLASSES
from jaxattr.evaluation.evaluate.gather import gather
from jaxattr.evaluation.evaluate.job import Job, tables_of
from jaxattr.evaluation.evaluate.maps import DETAILS, size_line
from jaxattr.evaluation.evaluate.maps import FOLDER as MAPS_FOLDER
from jaxattr.evaluation.evaluate.measure import measure
from jaxattr.evaluation.evaluate.metrics import Metrics, as_metrics, with_options
from jaxattr.evaluation.evaluate.opening import Images, Labels, open_images
from jaxattr.evaluation.evaluate.report_maps import keep_report_maps
from jaxattr.evaluation.evaluate.results import Evaluation, MethodScores
from jaxattr.evaluation.evaluate.settings import GROWING, good_marks, settings_record
from jaxattr.evaluation.methods.requests import (
    Methods,
    Requests,
    as_methods,
    as_references,
    check_requests,
    prepare,
)
from jaxattr.evaluation.runs import figures, programs
from jaxattr.evaluation.runs.batches import chunks
from jaxattr.evaluation.runs.devices import Devices
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.figures import DEFAULT, FigureFiles
from jaxattr.evaluation.runs.files import make_folder
from jaxattr.evaluation.runs.image_sets import ImageSet, PhotographFolder
from jaxattr.evaluation.runs.models import (
    Models,
    References,
    as_argument,
    as_models,
)
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.read_ahead import Workers
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.evaluation.runs.run_record import Run, write_run
from jaxattr.evaluation.runs.settings import claim
from jaxattr.evaluation.runs.shards import WHOLE, Shard
from jaxattr.evaluation.runs.work import IMAGES_PER_PART, Plan
from jaxattr.evaluation.runs.written import is_written, remember
from jaxattr.typing import Array

MOST_IMAGES = 16
"""On one device, explained together."""


def evaluate(
    models: Models,
    methods: Methods,
    metrics: Metrics = ("insertion", "deletion"),
    images: str | os.PathLike[str] | Images = None,
    labels: Labels = None,
    *,
    key: Array,
    folder: str | os.PathLike[str] | None = None,
    mesh: Mesh | None = None,
    out: str | os.PathLike[str] | None = None,
    references: References = None,
    max_images: int | None = None,
    batch_size: int = 8,
    images_per_part: int = IMAGES_PER_PART,
    shard: Shard = WHOLE,
    on_missing: str = "skip",
    only_prepare: bool = False,
    workers: Workers = None,
    explained: str = "given",
    save_maps: str | None = None,
    from_maps: str | os.PathLike[str] | None = None,
    report_maps: int = 0,
    figure_files: FigureFiles = DEFAULT,
    run: Run | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Scores attribution methods on models over a set of images.

    With ``out`` results are kept as they are made. Killed at any moment and called again
    with the same arguments it goes on where it was and gives the same table as if it had
    not been; called with more models, methods, metrics or photographs it computes only
    what is new. Several processes may share one folder, each with a ``shard`` of its own;
    ``merge`` makes the tables of all. A method is compiled once for each model and size of
    images; a batch that is not full is filled up, and what filled it left out.

    Args:
      models: name to model, or models with a ``name``, or names of ``jaxattr.models``.
        A model is a callable, best one that is a pytree; see ``LogitsFn``.
      methods: names of methods, or explainers ``(logits_fn, images, labels, *, key,
        batch_size, **options)`` of your own; with options, or under other labels, as a
        mapping: ``{"IG": ("integrated_gradients", {"num_steps": 20})}``. A function is
        known by its name and by what it encloses; one of changed code under the name it
        had needs another ``out``.
      metrics: ``insertion``, ``deletion``, ``road``, ``infidelity``,
        ``max_sensitivity``, ``sensitivity_n``, ``mu_fidelity``, ``irof``,
        ``sparseness``, ``complexity``, ``stability``;
        ``Curve`` for another order, substrate or number of steps; functions of your own
        by name, ``(logits_fn, images, attributions, labels, *, key, batch_size) ->
        (N,)``, or as a ``Metric``, which says what is better and may ask for the
        explainer.
      images: float ``(N, H, W, C)`` in [0, 1], or by name of a model where sizes differ;
        or a folder of photographs: one folder a class, or a table of labels in it; or
        any ``Source``: a data set that gives ``(image, label)`` by number.
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
      images_per_part: the most images in one file of results.
      shard: which share of the images is done; by default all. With several no tables
        are written: see ``merge``.
      on_missing: what becomes of photographs that were there when the run began and are
        gone: ``skip`` them, named in ``broken``, or ``stop``.
      only_prepare: only looks at the photographs, so that many processes can begin
        without doing so.
      workers: who reads images while the devices compute: a number of threads, by
        default one a core and at most 16, or ``"processes:N"``.
      explained: which class of an image: the one ``given`` or, the labels left aside,
        the one ``predicted``, which curves then follow too.
      save_maps: keep the maps in ``out/maps``, in float16: ``pixel``, their sum over the
        channels, or ``channel``, all of them.
      from_maps: a folder of results with maps that were kept: they are scored, and no
        method is run. Scores are those of the maps up to half precision.
      report_maps: of how many photographs at either end of each score, the best and the
        worst, ``out`` keeps small maps for ``jaxattr report``. They are explained once
        more in the end, by every method; at most 60 photographs a model.
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
    check_integer("images_per_part", images_per_part)
    check_integer("report_maps", report_maps, 0)
    if save_maps is not None:
        check_choice("save_maps", save_maps, DETAILS)
        if out is None or from_maps is not None:
            raise ValueError("save_maps: needs out, and methods that are run")
    if out is not None:
        figures.check_matplotlib()

    # The images, of which none is read yet.
    say = progress.doing if progress else lambda what: None
    say("listing the images")
    source, shapes = open_images(
        *(images, labels, folder, named),
        max_images=max_images,
        out=out,
        on_missing=on_missing,
        workers=workers,
    )

    # The methods with all that each model needs, seen to be good ones.
    prepared: dict[str, Requests] = {}
    num_classes: dict[str, int] = {}
    for name, model in named.items():
        argument = as_argument(model)
        classes = programs.num_classes(argument, shapes[name])
        num_classes[name] = classes
        known: Iterable[int] = (
            source.labels[name] if isinstance(source, ImageSet) else ()
        )
        outside = [y for y in known if not 0 <= y < classes]
        if outside:
            raise fail("labels", f"classes of {name}, 0 to {classes - 1}", outside[0])
        prepared[name] = prepare(
            *(asked, shapes[name], classes),
            lambda: as_references(references, model),
            split=programs.is_split(argument),
            check=False,
        )

    # Where results are, and whether they are of options that were seen to be good.
    devices = Devices(mesh)
    count = len(source.names if isinstance(source, ImageSet) else source)
    size = min(rows, MOST_IMAGES * devices.count, count)
    plan = Plan(size, check_single_key(key), images_per_part, shard, workers)
    kept = None if from_maps is None else as_path(from_maps)
    job = Job(scored, rows, plan, devices, explained, save_maps, kept)
    files = RowFiles(None if out is None else as_path(out, shared=True) / "parts")
    tables = {
        name: tables_of(job, name, model, prepared[name], files)
        for name, model in named.items()
    }
    good = good_marks(out)
    for name, model in named.items():
        new = {
            m: p
            for m, p in prepared[name].items()
            if tables[name].methods[m].mark not in good
        }
        check_requests(
            *(new, shapes[name], num_classes[name]),
            split=programs.is_split(as_argument(model)),
        )

    # The photographs, and the folder of results.
    say("reading the photographs")
    if isinstance(source, PhotographFolder):
        source.examine()
    if out is not None:
        out = make_folder(out)
        record = settings_record(job, named, prepared, tables, source)
        claim(out, record, may_grow=GROWING, apart=("class_names",))
        make_folder(out / "parts")
        if save_maps is not None:
            make_folder(out / MAPS_FOLDER)
            if progress:
                progress.say(size_line(shapes, save_maps, len(asked), count))
        write_run(out, run)
    given = source if isinstance(source, ImageSet) else source.image_set(out)
    if only_prepare:
        return Evaluation(given.names, scored, (), given.broken)
    own = [*chunks(given.places, size, images_per_part, shard)]
    mine = np.concatenate([np.zeros(0, int), *own])
    if progress:
        progress.total = len(named) * len(asked) * len(mine)

    # Measuring, a model after the other.
    labelled = {name: getattr(model, "labels", None) for name, model in named.items()}
    class_names = {name: names for name, names in labelled.items() if names}
    gone: list[int] = []
    done: list[MethodScores] = []

    def so_far(name: str) -> Evaluation:
        """The scores of the models that are done, and what there is of this one."""
        of_model = gather(
            *(tables[name], given.places[mine], given.ids(name)[mine]),
            curves=out is None,
        )
        results = [
            dataclasses.replace(r, index=mine[r.index]) for r in of_model.results
        ]
        broken = (*given.broken, *given.gone_lines(gone))
        return Evaluation(given.names, scored, (*done, *results), broken, class_names)

    evaluation = Evaluation(given.names, scored, (), given.broken, class_names)
    computed = False
    for name, model in named.items():
        next_table = 0.0
        work = measure(
            *(job, model, prepared[name], tables[name], given, progress, gone)
        )
        for _ in work:
            computed = True
            if out is None or shard.count > 1 or time.monotonic() < next_table:
                continue
            begin = time.monotonic()
            outputs.write_images(out, so_far(name))
            # Of a large set the table is large: a tenth of the time goes into it.
            next_table = time.monotonic() + 10 * (time.monotonic() - begin)
        evaluation = so_far(name)
        done = [*evaluation.results]
    if out is not None and shard.count == 1:
        made_from = digest(
            [
                [r.index for r in done],
                [given.ids(name) for name in named],
                json.dumps(
                    [[*t.marks().values(), *t.columns] for t in tables.values()]
                ),
                json.dumps([jaxattr.__version__, [*named], [*asked], figure_files]),
            ]
        )
        if computed or not is_written(out, made_from):
            outputs.write_report(out, evaluation, figure_files)
            remember(out, made_from)
        if report_maps and from_maps is None:
            keep_report_maps(
                *(out, job, given, named, prepared, evaluation, report_maps), progress
            )
    return evaluation
