"""One model of an evaluation: maps and scores of all methods, kept part by part."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxattr._checks import fail
from jaxattr.evaluation.evaluate.metrics import Curve, Metric
from jaxattr.evaluation.evaluate.results import MethodScores
from jaxattr.evaluation.methods.options import defaults
from jaxattr.evaluation.methods.registry import Method
from jaxattr.evaluation.runs import programs
from jaxattr.evaluation.runs.image_sets import ImageSet
from jaxattr.evaluation.runs.models import as_argument, identity
from jaxattr.evaluation.runs.parts import Parts, chunks, digest, gather, identify
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.typing import Array

_FAULTS = {
    "finite": "is not finite everywhere",
    "nonzero": "is zero everywhere",
}
"""What a photograph's map lacks, and how that is said."""


class Job(NamedTuple):
    """What the models of an evaluation have in common."""

    metrics: tuple[Curve | Metric, ...]
    key: Array
    batch_size: int
    size: int
    """How many images are explained together."""
    mesh: Mesh | None
    given: ImageSet
    explained: str = "given"
    """Which class of an image: the one ``given``, or ``predicted`` by the model."""

    def spread(self, tree: Any, *axes: Any) -> Any:
        """Arrays with their first axis over the mesh, or on each of its devices."""
        if self.mesh is None:
            return tree
        # With automatic axes, so that models need not know of the mesh.
        types = (AxisType.Auto,) * len(self.mesh.axis_names)
        mesh = Mesh(self.mesh.devices, self.mesh.axis_names, axis_types=types)
        return jax.device_put(tree, NamedSharding(mesh, P(*axes)))


def measure(
    job: Job,
    name: str,
    model: Any,
    methods: Mapping[str, tuple[Method, dict[str, Any]]],
    parts: Parts | None,
    progress: Progress | None,
) -> Iterator[list[MethodScores]]:
    """One model: all methods on some images, then on the next.

    Yields what there is so far every now and then, and at last all of it.
    """
    labels = job.given.labels[name]
    known = {"model": name, "weights": identity(model), "key": key_data(job.key)}
    known |= {"batch_size": job.batch_size, "explained": job.explained}
    model = job.spread(as_argument(model))
    about = {
        label: {"method": label, **method_record(method, options)}
        for label, (method, options) in methods.items()
    }
    made: dict[str, list[Any]] = {label: [] for label in methods}
    said: list[Any] = []
    later = 0.0
    for chunk in chunks(len(labels), job.size, job.key):
        pixels, their = job.given.pixels[name](chunk.index), labels[chunk.index]
        chunk_known = {**known, "images": digest([pixels, their])}
        axes = job.mesh.axis_names if job.mesh else None
        images, keys = job.spread((jnp.asarray(pixels), chunk.keys), axes)
        said.append(
            chunk.make(
                parts,
                f"{name} predictions",
                {**chunk_known, "kind": "predictions"},
                lambda: _predictions(job, model, images, their),
            )
        )
        classes = job.spread(jnp.asarray(said[-1]["explained"], int), axes)
        batch = (images, classes, keys)
        for label, (method, options) in methods.items():
            found = chunk.make(
                parts,
                f"{name} {label}",
                {
                    **chunk_known,
                    **about[label],
                    "metrics": protocols_record(job.metrics),
                },
                lambda: _scores(job, model, method, options, batch),
                progress=progress,
                items=chunk.count,
            )
            made[label].append(found)
            if progress:
                for flag, fault in _FAULTS.items():
                    where = np.flatnonzero(~found[flag][: chunk.count])
                    names = [job.given.names[chunk.first + i] for i in where]
                    if names:
                        progress.say(
                            f"jaxattr: warning: {', '.join(names)}: the map of {label} "
                            f"on {name} {fault}"
                        )
        count = chunk.first + chunk.count
        if count < len(labels) and time.monotonic() < later:
            continue
        begin = time.monotonic()
        yield [
            _gathered(job, name, label, of, said, count) for label, of in made.items()
        ]
        # Of a large set the table is large: a tenth of the time at most goes into it.
        later = time.monotonic() + 10 * (time.monotonic() - begin)


def _predictions(
    job: Job, model: Any, images: Array, labels: np.ndarray
) -> dict[str, Any]:
    """What the model says, the classes that are explained, and their probability."""
    probabilities = np.asarray(programs.probabilities(model, images))
    predicted = probabilities.argmax(axis=1)
    explained = predicted if job.explained == "predicted" else labels
    return {
        "predicted": predicted,
        "explained": explained,
        "probability": probabilities[np.arange(len(explained)), explained],
    }


def _scores(
    job: Job, model: Any, method: Method, options: dict[str, Any], batch: Any
) -> dict[str, Any]:
    """Maps of one method, and what each metric makes of them."""
    images, labels, keys = batch
    static, arrays = programs.split_options(options)
    maps, seconds = programs.timed(
        programs.attributions,
        model,
        images,
        labels,
        keys,
        job.spread(arrays),
        explain=method.explain,
        static=static,
        batch_size=job.batch_size,
    )
    found: dict[str, Any] = {
        "seconds": seconds,
        "finite": jnp.isfinite(maps).all(axis=(1, 2, 3)),
        "nonzero": (maps != 0).any(axis=(1, 2, 3)),
    }
    for i, metric in enumerate(job.metrics):
        fields = programs.measured(
            model,
            images,
            maps,
            labels,
            keys,
            metric=metric,
            batch_size=job.batch_size,
        )
        if fields["score"].shape != labels.shape:
            raise fail(
                metric.name, f"a score an image, {labels.shape}", fields["score"]
            )
        found |= {f"{i}.{field}": values for field, values in fields.items()}
    return found


def _gathered(
    job: Job, model: str, label: str, made: Any, said: Any, num_images: int
) -> MethodScores:
    measured: list[dict[str, np.ndarray]] = [{} for _ in job.metrics]
    for field in made[0]:
        place, dot, inner = field.partition(".")
        if dot:
            measured[int(place)][inner] = gather(made, field, num_images)
    seconds = sum(float(part["seconds"]) for part in made)
    return MethodScores(
        model,
        label,
        gather(said, "explained", num_images),
        gather(said, "predicted", num_images),
        gather(said, "probability", num_images),
        gather(made, "finite", num_images),
        len(made) * job.size / max(seconds, 1e-9),
        tuple(measured),
    )


def key_data(key: Array) -> Any:
    """A key as JSON takes it."""
    return np.asarray(jax.random.key_data(key)).tolist()


def method_record(method: Method, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a method is and all of its options, as JSON takes them."""
    return {
        "explainer": identify(method.explain),
        "options": identify(defaults(method) | dict(options)),
    }


def protocols_record(metrics: tuple[Curve | Metric, ...]) -> dict[str, Any]:
    """The metrics with their protocols, as JSON takes them."""
    return {
        f"{m.name} {m.protocol}".strip(): identify(getattr(m, "measure", None)) or {}
        for m in metrics
    }
