"""Do boundary attributions lie on the object, and are robust models nearer to theirs?

    python -m benchmarks.study_boundary --images 40 --photographs 40

Two questions of Wang, Fredrikson and Datta (ICML 2022), on other models than theirs:
how far seven attributions lie inside the boxes of ImageNet photographs, and how far
attributions are from their boundary twins on networks trained plainly and robustly.

Needs the folder of weights and photographs (``JAXATTR_ASSETS``, by default
``../shared/assets``). Every part is kept under ``--parts``, so it can be stopped.
"""

from __future__ import annotations

import argparse
import csv
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import assets, cifar_twins, figures, mnist_twins, report
from jaxattr.evaluation.runs.batches import batches
from jaxattr.evaluation.runs.bootstrap import bootstrap_means, interval
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.files import make_folder
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.photographs.reading import read_photograph

SEED = 0
MEASURES = {
    "loc": "Loc",
    "energy_game": "energy game",
    "positive_percentage": "positive %",
    "concentration": "concentration",
    "concentration_box": "concentration in the box",
}
ALIGNMENTS = {
    "l2": "raw L2",
    "relative_l2": "relative L2",
    "cosine": "cosine",
    "spearman": "Spearman",
}
PAIRS = ("SM, BSM", "IG, BIG", "mean IG, BIG", "SG, BSG", "IG, AGI")


def boxed_photographs(model, count):
    """Photographs as the model sees them, their classes, and masks of the boxes.

    The boxes are drawn and go through the same resizing and cropping.
    """
    from PIL import Image, ImageDraw

    folder = assets.folder() / "imagenet-val-boxes"
    with open(folder / "boxes.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))[:count]
    images, masks = [], []
    for row in rows:
        photograph = read_photograph(folder / row["file"])
        drawing = Image.new("RGB", photograph.size)
        for box in row["boxes_xyxy_in_227px"].split(";"):
            x0, y0, x1, y1 = (float(v) for v in box.split(","))
            # Pillow's rectangles include their last pixel.
            corners = [round(x0), round(y0), round(x1) - 1, round(y1) - 1]
            ImageDraw.Draw(drawing).rectangle(corners, fill="white")
        images.append(np.asarray(model.preprocess(photograph), np.float32))
        masks.append(np.asarray(model.preprocess(drawing))[..., 0] > 0.5)
    labels = np.array([int(row["class"]) for row in rows], np.int32)
    return np.stack(images), labels, np.stack(masks)


def twins(architectures=cifar_twins.ARCHITECTURES):
    """Name to model, images and labels: the same images for a standard and a robust."""
    found = {}
    digits, classes = mnist_twins.test_images()
    for training in mnist_twins.TRAININGS:
        found[f"lenet-{training}"] = (mnist_twins.load(training), digits, classes)
    images, labels = cifar_twins.test_images(assets.folder())
    for a in architectures:
        for t in cifar_twins.TRAININGS:
            found[f"{a}-{t}"] = (
                cifar_twins.load(assets.folder(), a, t),
                images,
                labels,
            )
    return found


def options_of(arguments) -> dict[str, Any]:
    """What decides the maps, as parts are known by it."""
    return {
        "search": arguments.search,
        "steps": arguments.steps,
        "samples": arguments.samples,
        "targets": arguments.targets,
    }


@functools.partial(jax.jit, static_argnames=("search", "rows"))
def boundary_of(model, images, labels, keys, *, search, rows):
    return ja.nearest_boundary(
        model, images, labels, key=keys, search=search, batch_size=rows
    )


@functools.partial(
    jax.jit, static_argnames=("name", "steps", "samples", "targets", "rows")
)
def maps_of(
    model, images, labels, keys, boundary, *, name, steps, samples, targets, rows
):
    """One attribution; those with a boundary take it as found before."""
    given = (model, images, labels)
    ig = {"num_steps": steps, "batch_size": rows}
    sg = {"num_samples": samples, "batch_size": rows, "key": keys}
    methods = {
        "saliency": lambda: ja.saliency(*given, batch_size=rows),
        "input × gradient": lambda: ja.input_x_gradient(*given, batch_size=rows),
        "IG": lambda: ja.integrated_gradients(*given, **ig),
        "IG (mean)": lambda: ja.integrated_gradients(
            *given, **ig, multiply_by_delta=False
        ),
        "SmoothGrad": lambda: ja.smoothgrad(*given, **sg),
        "AGI": lambda: ja.agi(*given, key=keys, num_targets=targets, batch_size=rows),
        "BSM": lambda: ja.bsm(*given, search=boundary, batch_size=rows),
        "BIG": lambda: ja.big(*given, search=boundary, **ig),
        "BIG (mean)": lambda: ja.big(
            *given, search=boundary, **ig, multiply_by_delta=False
        ),
        "BSG": lambda: ja.bsg(*given, search=boundary, **sg),
    }
    return methods[name]()


LOCALIZED = ("saliency", "input × gradient", "IG", "SmoothGrad", "AGI", "BSM", "BIG")
TWINS = {
    "SM, BSM": ("saliency", "BSM"),
    "IG, BIG": ("IG", "BIG"),
    "mean IG, BIG": ("IG (mean)", "BIG (mean)"),
    "SG, BSG": ("SmoothGrad", "BSG"),
    "IG, AGI": ("IG", "AGI"),
}


def run_parts(what, model, images, compute, made_from, arguments, parts, progress):
    """``compute(index, keys)`` to arrays ``(n,)``, over all images, part by part."""
    made_from = {
        **made_from,
        **options_of(arguments),
        "weights": digest(model),
        "seed": SEED,
    }
    rows, key = parts.table(what, made_from), jax.random.key(SEED)
    places = np.arange(len(images))
    ids = np.array([digest(image)[:16] for image in images], "S16")
    for batch in batches(places, places, arguments.batch):
        own = ids[batch.index]
        missing = rows.find(batch.places, own).missing("all", len(own)).any()
        if missing:
            made = compute(batch.filled(batch.index), batch.keys(key))
            made = {f"all.{f}": np.asarray(v)[batch.rows] for f, v in made.items()}
            rows.add(batch.places, own, made)
        progress.finished(f"{what} {batch.places[-1] + 1}", found=not missing)
    found = rows.find(places, ids).values
    return {field.removeprefix("all."): values for field, values in found.items()}


def localize(model, name, count, arguments, parts, progress):
    """Method to measure to values ``(N,)``, with accuracy and distances beside."""
    images, labels, masks = boxed_photographs(model, count)
    settings = {k: v for k, v in options_of(arguments).items() if k != "search"}

    def compute(index, keys):
        some, their = jnp.asarray(images[index]), jnp.asarray(labels[index])
        given = (model, some, their, keys)
        rows = arguments.rows
        boundary = boundary_of(*given, search=tuple(arguments.search), rows=rows)
        inside = jnp.asarray(masks[index])
        made = {
            "correct": jnp.argmax(model(some), -1) == their,
            "distance": boundary.distances,
            "area": inside.mean((1, 2)),
        }
        for method in LOCALIZED:
            maps = maps_of(*given, boundary, name=method, rows=rows, **settings)
            maps = jnp.sum(maps, -1)
            found = ja.localization(maps, inside)._asdict()
            box = ja.localization(maps, inside, concentration_region="box")
            found["concentration_box"] = box.concentration
            made |= {f"{method}: {m}": values for m, values in found.items()}
        return made

    made = {"model": name, "labels": digest(labels), "masks": digest(masks)}
    return run_parts(
        f"{name} localisation", model, images, compute, made, arguments, parts, progress
    )


def align(name, model, images, labels, arguments, parts, progress):
    """Pair to measure to values ``(N,)``, of what the model predicts."""
    settings = {k: v for k, v in options_of(arguments).items() if k != "search"}
    methods = sorted({method for pair in TWINS.values() for method in pair})

    def compute(index, keys):
        some = jnp.asarray(images[index])
        own = jnp.argmax(model(some), -1)
        given = (model, some, own, keys)
        rows = arguments.rows
        boundary = boundary_of(*given, search=tuple(arguments.search), rows=rows)
        made = {
            "correct": own == jnp.asarray(labels[index]),
            "distance": boundary.distances,
            "found": boundary.found,
        }
        maps = {
            method: maps_of(*given, boundary, name=method, rows=rows, **settings)
            for method in methods
        }
        for pair, (a, b) in TWINS.items():
            found = ja.alignment(maps[a], maps[b])._asdict()
            made |= {f"{pair}: {m}": values for m, values in found.items()}
        return made

    made = {"model": name, "labels": digest(labels)}
    return run_parts(
        f"{name} alignment", model, images, compute, made, arguments, parts, progress
    )


def spread(values):
    """Mean and interval of values ``(N,)``, those that are not finite left out."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), (float("nan"), float("nan"))
    return values.mean(), interval(bootstrap_means(values[None], seed=SEED)[:, 0])


def cell(values):
    mean, (low, high) = spread(values)
    digits = 3 if abs(mean) < 100 else 1
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def localization_tables(found):
    """Means on the photographs that are classified right, and BIG less the others."""
    kept = found["correct"] & np.isfinite(found["distance"])
    area = found["area"][kept]
    of = lambda method, m: found[f"{method}: {m}"][kept]
    rows = [[method, *(cell(of(method, m)) for m in MEASURES)] for method in LOCALIZED]
    chance = [area / (1 + area), area, np.full_like(area, 0.5)]
    rows.append(["random signs, expected", *map(cell, chance), "", ""])
    means = report.markdown(["method", *MEASURES.values()], rows)
    rows = [
        [f"BIG - {other}", *(cell(of("BIG", m) - of(other, m)) for m in MEASURES)]
        for other in LOCALIZED
        if other != "BIG"
    ]
    return int(kept.sum()), means, report.markdown(["pair", *MEASURES.values()], rows)


def robust_pairs(results):
    for name in results:
        architecture, training = name.rsplit("-", 1)
        if training != "normal" and f"{architecture}-normal" in results:
            yield name, f"{architecture}-normal"


def alignment_tables(results):
    """A table of the models, one a pair of attributions, and the paired differences."""
    models = [
        [
            name,
            f"{found['correct'].mean():.3f}",
            f"{found['found'].mean():.3f}",
            cell(found["distance"]),
        ]
        for name, found in results.items()
    ]
    header = ["model", "accuracy", "boundary found", "distance"]
    sections = [("The models", report.markdown(header, models))]
    header = ["", *ALIGNMENTS.values()]
    for pair in PAIRS:
        rows = []
        for name, found in results.items():
            kept = found["correct"] & found["found"]
            rows.append(
                [name, *(cell(found[f"{pair}: {m}"][kept]) for m in ALIGNMENTS)]
            )
        for robust, normal in robust_pairs(results):
            a, b = results[robust], results[normal]
            kept = a["correct"] & a["found"] & b["correct"] & b["found"]
            differences = (
                cell((a[f"{pair}: {m}"] - b[f"{pair}: {m}"])[kept]) for m in ALIGNMENTS
            )
            rows.append([f"{robust} - {normal}", *differences])
        sections.append((f"Alignment of {pair}", report.markdown(header, rows)))
    return sections


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--images", type=int, default=100, help="of MNIST and of CIFAR-10, 0 for none")
    add(
        "--photographs",
        type=int,
        default=40,
        help="with boxes, 0 for none, at most 200",
    )
    add("--model", default="efficientnet_lite0", help="for the photographs")
    add("--network", action="append", help="of those trained plainly and robustly")
    add("--search", action="append", help="members (default: deepfool, ddn and fab)")
    add("--steps", type=int, default=20, help="of IG and BIG")
    add("--samples", type=int, default=20, help="of SmoothGrad and BSG")
    add("--targets", type=int, default=3, help="of AGI, 40 gradients each")
    add("--batch", type=int, default=20, help="images a part")
    add("--rows", type=int, default=20, help="most model rows in one call")
    add("--parts", default="build/study_boundary")
    add("--name", default="study_boundary", help="of the report and its figure")
    arguments = parser.parse_args()
    arguments.search = arguments.search or ["deepfool", "ddn", "fab"]
    parts, sections, results, localized = (
        RowFiles(make_folder(arguments.parts)),
        [],
        {},
        None,
    )
    networks = {}
    if arguments.images:
        networks = {
            name: (model, images[: arguments.images], labels[: arguments.images])
            for name, (model, images, labels) in twins().items()
            if not arguments.network or name in arguments.network
        }
    count = sum(-(-len(x) // arguments.batch) for _, x, _ in networks.values())
    with Progress(count + -(-arguments.photographs // arguments.batch)) as progress:
        for name, (model, images, labels) in networks.items():
            results[name] = align(
                name, model, images, labels, arguments, parts, progress
            )
        if arguments.photographs:
            model = assets.load(arguments.model)
            localized = localize(
                model,
                arguments.model,
                arguments.photographs,
                arguments,
                parts,
                progress,
            )
    if localized is not None:
        kept, means, differences = localization_tables(localized)
        title = f"Localisation, {arguments.model}, {kept} photographs classified right"
        sections += [(title, means), ("BIG less the others, paired", differences)]
    if results:
        sections += alignment_tables(results)
    notes = (
        "Means with 95 % bootstrap intervals over images (2,000 resamples). Boundaries "
        f"by {', '.join(arguments.search)}, each with 20 bisections; IG and BIG with "
        f"{arguments.steps} midpoints from black and from the boundary point, SmoothGrad "
        f"and BSG with {arguments.samples} samples of σ = 0.15, AGI with "
        f"{arguments.targets} targets. Localisation: channels summed, the class of the "
        "photograph explained, boxes resized and cropped with the photograph; expected "
        "of random signs from the area of the boxes. Alignment: the predicted class "
        "explained, images classified right with a boundary found; lower is nearer for "
        "the two distances, higher for cosine and Spearman. Rows with a minus sign are "
        "differences on the images that both classify right. Mean IG, BIG: "
        "without the factor x - x'."
    )
    report.write(
        arguments.name,
        "Boundary attributions: localisation and alignment",
        [("", notes), *sections],
        SEED,
    )
    figures.boundary_study(arguments.name)


if __name__ == "__main__":
    main()
