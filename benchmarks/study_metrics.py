"""Five metrics of the maps of many methods, and how far their rankings agree.

    python -m benchmarks.study_metrics --images 25

Needs the folder of labelled photographs with boxes (``JAXATTR_ASSETS``, by default
``../shared/assets``). Everything is kept under ``--out``: stopped and started again with
the same arguments it goes on where it was.

The default settings are what two CPU cores can do in an hour. With those of the
publications, on a GPU::

    python -m benchmarks.study_metrics --steps 50 --blur-steps 100 --samples 50 \\
        --copies 20 --masks 4000 --coalitions 1000 --la-targets 20 --la-steps 20 \\
        --isa-values 5000 --isa-steps 8 --curve-steps 224 --subsets 200

For a look: ``--images 2 --batch-size 2 --steps 2 --blur-steps 2 --samples 2 --copies 1
--masks 2 --window 112 --stride 112 --la-targets 1 --la-steps 2 --isa-values 80000
--isa-steps 2 --curve-steps 2 --road-steps 2 --subsets 3 --results look``.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import assets, figures, report
from benchmarks.study_boundary import boxed_photographs
from benchmarks.study_faithfulness import (
    SEED,
    SETS,
    SMOOTHING_SIZE,
    between,
    centred_blob,
    fampe,
    magnitude,
    paired,
    random_map,
)
from jaxattr.evaluation import Curve, Metric, evaluate
from jaxattr.evaluation.evaluate.maps import FOLDER, KEPT, map_tables, unpack
from jaxattr.evaluation.methods.requests import as_methods
from jaxattr.evaluation.runs.bootstrap import bootstrap_means, interval
from jaxattr.evaluation.runs.digests import key_data
from jaxattr.evaluation.runs.models import identity
from jaxattr.evaluation.runs.progress import Progress

PHOTOGRAPHS = "imagenet-val-boxes"
FINE, COARSE, LAST = "blocks.10", "blocks.15", "head"
"""Layers of EfficientNet-Lite0: 14 x 14 x 112, 7 x 7 x 320, 7 x 7 x 1280."""
SUPERPIXELS, MOST_SUPERPIXELS = 49, 64
"""As many are asked for as there are squares; no image has more than the second."""
SPLITS = 2000
CONTROL = "control: "


class Row(NamedTuple):
    """A method as it is run, and what an image costs."""

    method: object
    options: dict[str, object]
    forward: int
    """Passes of the model alone, an image."""
    gradients: int = 0
    """Passes there and back."""


def superpixel_shap(
    logits_fn, images, labels, *, key, batch_size, num_segments, num_samples
):
    """``kernel_shap`` of SLIC superpixels, which every image has of its own."""
    segments = jax.pure_callback(
        functools.partial(_superpixels, num_segments),
        jax.ShapeDtypeStruct(images.shape[:3], jnp.int32),
        images,
    )
    return ja.kernel_shap(
        *(logits_fn, images, labels),
        key=key,
        batch_size=batch_size,
        segments=segments,
        num_segments=MOST_SUPERPIXELS,
        num_samples=num_samples,
    )


def _superpixels(num_segments, images):
    """``ja.segments.slic`` in numpy: a callback must not call JAX."""
    from skimage.segmentation import slic

    found = [
        slic(np.asarray(image, float), num_segments, start_label=0, channel_axis=-1)
        for image in images
    ]
    if max(segments.max() for segments in found) >= MOST_SUPERPIXELS:
        raise ValueError(f"more than {MOST_SUPERPIXELS} superpixels")
    return np.stack(found).astype(np.int32)


def rows(a):
    """Label to a method, its options and its passes, for the parsed arguments.

    The score explained is the published one where the method has it as an option.
    """
    probability = {"score": "probability"}
    steps, smoothed = {"num_steps": a.steps}, {"smoothing_size": SMOOTHING_SIZE}
    ig = {"method": "integrated_gradients", **steps}
    exploration = {"num_steps": 10, "num_samples": a.copies}
    la = {"num_targets": a.la_targets, "num_steps": a.la_steps}
    isa_rounds = math.ceil(224 * 224 * 3 / a.isa_values)
    isa = {
        "values_per_round": a.isa_values,
        "num_ascent_steps": a.isa_steps,
        "num_descent_steps": a.isa_steps,
    }
    windows = math.ceil((224 - a.window) / a.stride) + 1
    coalitions = {"num_samples": a.coalitions}
    fine = lambda method: Row(method, {"layer": FINE}, 0, 1)
    return {
        "saliency": Row("saliency", {}, 0, 1),
        "input × gradient": Row("input_x_gradient", {}, 0, 1),
        "SmoothGrad": Row("smoothgrad", {"num_samples": a.samples}, 0, a.samples),
        "IG": Row("integrated_gradients", steps, 0, a.steps),
        "guided IG": Row("guided_ig", {}, 0, 15),
        "IDGI": Row("idgi", steps | probability, 1, a.steps),
        "Blur IG": Row("blur_ig", {"num_steps": a.blur_steps}, 0, a.blur_steps),
        "LRP": Row("lrp", {}, 0, 1),
        "LA": Row("la", la, 0, (2 * a.la_targets + 1) * a.la_steps),
        "ISA": Row("isa", isa, 0, isa_rounds * 2 * a.isa_steps),
        "AttEXplore": Row("attexplore", exploration, 0, 10 * a.copies),
        fampe(0.1): Row("fampe", {"alpha": 0.1, **exploration}, 0, 10 * a.copies),
        "Grad-CAM": Row("grad_cam", {}, 0, 1),
        "Grad-CAM++": Row("grad_cam_pp", {}, 0, 1),
        "LayerCAM": Row("layer_cam", {}, 0, 1),
        "Ablation-CAM": Row("ablation_cam", {}, 1),
        "Eigen-CAM": Row("eigen_cam", {}, 1),
        "Score-CAM, 320 channels": Row("score_cam", {"layer": COARSE}, 321),
        "Grad-CAM, 14 × 14": fine("grad_cam"),
        "HiResCAM, 14 × 14": fine("hires_cam"),
        "XGrad-CAM, 14 × 14": fine("xgrad_cam"),
        "LayerCAM, 14 × 14": fine("layer_cam"),
        "occlusion": Row(
            "occlusion", {"window": a.window, "stride": a.stride}, windows**2 + 1
        ),
        "RISE": Row("rise", {"num_samples": a.masks, **probability}, a.masks),
        "LIME": Row("lime", coalitions | probability, a.coalitions),
        "KernelSHAP, squares": Row("kernel_shap", coalitions, a.coalitions),
        "KernelSHAP, superpixels": Row(
            superpixel_shap, {"num_segments": SUPERPIXELS, **coalitions}, a.coalitions
        ),
        f"{CONTROL}random, one channel": Row(random_map, {"one_channel": True}, 0),
        f"{CONTROL}centred blob": Row(centred_blob, {}, 0),
        f"{CONTROL}absolute IG": Row(magnitude, ig, 0, a.steps),
        f"{CONTROL}smoothed absolute IG": Row(magnitude, ig | smoothed, 0, a.steps),
    }


def metrics(a):
    """Those that ``evaluate`` measures."""
    fidelity = functools.partial(ja.mu_fidelity, num_samples=a.subsets)
    return (
        Curve("insertion", num_steps=a.curve_steps),
        Curve("deletion", num_steps=a.curve_steps),
        Curve("road", num_steps=a.road_steps),
        Metric("mu_fidelity", _labelled(fidelity), f"{a.subsets} sets", "higher"),
    )


def _labelled(measure):
    """A function of ``metrics`` as ``evaluate`` calls one."""

    def measured(logits_fn, images, attributions, labels, *, key, batch_size):
        return measure(
            *(logits_fn, images, attributions),
            labels=labels,
            key=key,
            batch_size=batch_size,
        )

    return measured


CLAIMS = (
    ("ISA", "AttEXplore"),
    ("LA", "AttEXplore"),
    ("ISA", f"{CONTROL}smoothed absolute IG"),
    ("LA", f"{CONTROL}smoothed absolute IG"),
    ("IDGI", "IG"),
    ("Blur IG", "IG"),
    ("Grad-CAM++", "Grad-CAM"),
    ("Ablation-CAM", "Grad-CAM"),
    ("Score-CAM, 320 channels", "Grad-CAM"),
    ("HiResCAM, 14 × 14", "Grad-CAM, 14 × 14"),
    ("LayerCAM, 14 × 14", "Grad-CAM, 14 × 14"),
    ("occlusion", "Grad-CAM"),
    ("RISE", "occlusion"),
    ("KernelSHAP, squares", "LIME"),
    ("KernelSHAP, superpixels", "KernelSHAP, squares"),
    ("Grad-CAM", f"{CONTROL}centred blob"),
    ("occlusion", f"{CONTROL}centred blob"),
    ("SmoothGrad", f"{CONTROL}random, one channel"),
)
"""What the papers say is better than what, and methods beside controls."""
TITLES = ("insertion", "deletion", "ROAD", "MuFidelity", "pointing game")
LOWER = ("deletion", "ROAD")
"""Those where less is better."""


def kept_maps(out, model, methods, a):
    """Label to maps ``(N, H, W)`` as ``evaluate`` has kept them, of images in order."""
    known = {
        "weights": identity(model),
        "key": key_data(jax.random.key(SEED)),
        "batch_size": a.batch_size,
        "explained": "given",
    }
    tables = map_tables(out, "pixel", model.name, as_methods(methods), known)
    places = np.arange(a.images)
    for label, table in tables.items():
        found = table.find(places)
        if found.missing(KEPT, a.images).any():
            raise ValueError(f"{out / FOLDER}: lacks maps of {label}")
        yield label, unpack(found.values, 1)[..., 0]


def measured(a):
    """Metric to values ``(M, N)`` of all methods, and shares of the boxes ``(N,)``."""
    model = assets.load(a.model, preprocessing=SETS[PHOTOGRAPHS])
    images, labels, masks = boxed_photographs(model, a.images)
    out = pathlib.Path(a.out) / str(a.images)
    methods = {label: (r.method, r.options) for label, r in rows(a).items()}
    with Progress(0) as progress:
        evaluation = evaluate(
            {model.name: model},
            methods,
            metrics(a),
            images,
            labels,
            key=jax.random.key(SEED),
            out=out,
            batch_size=a.batch_size,
            images_per_part=a.images_per_part,
            save_maps="pixel",
            progress=progress,
        )
    values = {
        title: np.stack([evaluation.scores(model.name, m, i) for m in methods])
        for i, title in enumerate(TITLES[:-1])
    }
    values[TITLES[-1]] = np.stack(
        [ja.pointing_game(m, masks) for _, m in kept_maps(out, model, methods, a)]
    )
    first = evaluation.results[0]
    right = float(np.mean(first.predicted == first.labels))
    return values, masks.mean((1, 2)), right


def defined(values):
    """Values with zero for those that are not, and how many those are.

    A map that is the same everywhere correlates with nothing.
    """
    return np.where(np.isfinite(values), values, 0), int((~np.isfinite(values)).sum())


def better(title, values):
    """Values of which more is better."""
    return -values if title in LOWER else values


def tau(a, b):
    """Kendall's τ-b of two rankings ``(..., M)``, NaN where one orders nothing."""
    i, j = np.triu_indices(a.shape[-1], 1)
    a, b = (np.sign(v[..., i] - v[..., j]) for v in (a, b))
    with np.errstate(invalid="ignore"):
        return (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))


def ranks(means):
    """Of means ``(..., M)`` of which more is better: 1 for the best, ties share."""
    above = means[..., None, :] > means[..., :, None]
    alike = means[..., None, :] == means[..., :, None]
    return 0.5 + above.sum(-1) + 0.5 * alike.sum(-1)


def cell(value, means, digits=2):
    low, high = np.nanpercentile(means, [2.5, 97.5])
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def spread(value, drawn):
    """A number and 1.96 standard deviations of the resamples to either side.

    Not their middle 95 %: resampled rankings are noisier than the ranking itself, which
    moves all of them toward zero.
    """
    reach = 1.96 * np.nanstd(drawn)
    low, high = max(-1.0, value - reach), min(1.0, value + reach)
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def scores_table(table, values):
    """A row a method: its passes and its scores."""
    cells = {
        title: [
            f"{v.mean():.3f} {between(*interval(bootstrap_means(v[None])[:, 0]))}"
            for v in of_title
        ]
        for title, of_title in values.items()
    }
    return report.markdown(
        ["method", "forward passes", "gradients", *values],
        [
            [label, row.forward, row.gradients, *(cells[t][i] for t in values)]
            for i, (label, row) in enumerate(table.items())
        ],
    )


def differences_table(table, values):
    """Paired differences of ``CLAIMS``."""
    place = {label: i for i, label in enumerate(table)}
    of = lambda label: lambda i: [*values.values()][i][place[label]]
    return paired([*values], [(f"{a} - {b}", of(a), of(b)) for a, b in CLAIMS])


def ranks_table(table, values):
    """The place of each row among all of them by each metric, best mean rank first."""
    goods = {t: better(t, v) for t, v in values.items()}
    own = {t: ranks(v.mean(-1)) for t, v in goods.items()}
    drawn = {t: ranks(bootstrap_means(v)) for t, v in goods.items()}
    mean = np.mean([*own.values()], axis=0)
    labels = list(table)
    return report.markdown(
        ["method", "mean rank", *values],
        [
            [
                labels[i],
                f"{mean[i]:.1f}",
                *(cell(own[t][i], drawn[t][:, i], 0) for t in values),
            ]
            for i in np.argsort(mean, kind="stable")
        ],
    )


def agreement_table(table, values):
    """Kendall's τ of the rankings by two metrics, with and without the controls."""
    is_method = np.array([not label.startswith(CONTROL) for label in table])
    kinds = (is_method, np.ones_like(is_method))
    goods = {t: better(t, v) for t, v in values.items()}
    drawn = {t: bootstrap_means(v) for t, v in goods.items()}
    return report.markdown(
        ["pair", f"{is_method.sum()} methods", f"and {(~is_method).sum()} controls"],
        [
            [
                f"{a}, {b}",
                *(
                    spread(
                        tau(goods[a].mean(-1)[kept], goods[b].mean(-1)[kept]),
                        tau(drawn[a][:, kept], drawn[b][:, kept]),
                    )
                    for kept in kinds
                ),
            ]
            for a, b in itertools.combinations(values, 2)
        ],
    )


def halves_table(table, values):
    """Kendall's τ of the rankings by one metric on two halves of the photographs."""
    is_method = np.array([not label.startswith(CONTROL) for label in table])
    count = next(iter(values.values())).shape[1]
    rng = np.random.default_rng(SEED)
    orders = np.stack([rng.permutation(count) for _ in range(SPLITS)])
    first, second = orders[:, : count // 2], orders[:, count // 2 :]
    lines = []
    for title, of_title in values.items():
        kept = of_title[is_method]
        halves = [kept[:, half].mean(-1).T for half in (first, second)]
        found = tau(*halves)
        lines.append([title, cell(np.nanmean(found), found)])
    sizes = f"{first.shape[1]} and {second.shape[1]} photographs"
    return report.markdown(["metric", sizes], lines)


NOTES = """\
Means with 95 % intervals from 2,000 bootstrap resamples of the photographs, the same ones
for all methods and metrics. Insertion and deletion: area under the curve of the
probability of the labelled class, which is also the class explained, on black, one order
of pixels (`channel_sum`), {a.curve_steps} steps. ROAD: the same as deletion with noisy
linear imputation, {a.road_steps} steps. MuFidelity: rank correlation with the fall of the
logit over {a.subsets} random sets of a fifth of a 9 x 9 grid. Pointing game: how often
the largest value of a map lies in a box of the object, without tolerance; the boxes cover
{area:.0%} of a photograph. Higher is better for insertion, MuFidelity and the pointing
game, lower for deletion and ROAD. {undefined}Settings are below those of the publications
where these take hundreds of passes; the columns of passes say how many there were of each
photograph, of the model alone and there and back (a pass back by rules counts as a
gradient; the {channels} passes of Ablation-CAM through the last layer alone are not
counted). IG, IDGI: {a.steps} steps; Blur IG: {a.blur_steps}; SmoothGrad: {a.samples}
samples; guided IG: 15 steps; LRP: `epsilon_plus_flat`; LA: {a.la_targets} targets,
{a.la_steps} steps; ISA: {a.isa_values} values a round, {a.isa_steps} steps up and down;
AttEXplore and FAMPE: 10 steps, {a.copies} copies; occlusion: windows of {a.window},
{a.stride} apart; RISE: {a.masks} masks; LIME, KernelSHAP: {a.coalitions} coalitions of 7
x 7 squares, or of SLIC superpixels, {superpixels} asked for, of which fewer are found.
RISE, LIME and IDGI explain the probability, as published, the others the logit or what
their publication has. Class activation maps without a size are those of the last layer, 7
x 7, where HiResCAM and XGrad-CAM are Grad-CAM, because all that follows is a mean and a
linear layer. Controls: normal noise, the same in all channels; a Gaussian around the
centre that sees neither model nor photograph; absolute IG, and that smoothed with
AttEXplore's {size}x{size} kernel."""
UNDEFINED = "Correlations of a map that is the same everywhere count as zero: {}. "
AGREEMENT = """\
Kendall's τ-b of the methods in the order of their means, turned so that better is higher:
1 for the same order, 0 for orders that have nothing in common, -1 for opposite ones. The
intervals are 1.96 standard deviations of τ over the same resamples of the photographs to
either side. On few photographs noise in the two rankings pulls τ toward zero; the next
table says how much noise there is."""
HALVES = """\
The ranking by some photographs against that by the others, the same metric: the mean over
2,000 random halves, and where 95 % of them lie. It says how much of what two metrics
disagree on is noise of few photographs; rankings by all of them are steadier."""
RANKS = """\
Of {count} rows, controls among them: 1 is the best by that metric. The rows are in the
order of the mean over the five metrics."""


def paragraph(text):
    return " ".join(text.split("\n"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = functools.partial(parser.add_argument, type=int)
    add("--model", type=str, default="efficientnet_lite0", help="NAME, or NAME=FILE")
    add("--images", default=25, help="at most 200")
    add("--steps", default=20, help="of IG and IDGI")
    add("--blur-steps", default=20)
    add("--samples", default=20, help="of SmoothGrad")
    add("--copies", default=5, help="of a step of AttEXplore and FAMPE")
    add("--masks", default=300, help="of RISE")
    add("--coalitions", default=160, help="of LIME and KernelSHAP")
    add("--window", default=32, help="of occlusion")
    add("--stride", default=16, help="of occlusion")
    add("--la-targets", default=4)
    add("--la-steps", default=8)
    add("--isa-values", default=12544, help="that a round removes")
    add("--isa-steps", default=3, help="up, and down, in a round")
    add("--curve-steps", default=24, help="of insertion and deletion")
    add("--road-steps", default=10)
    add("--subsets", default=50, help="of MuFidelity")
    add("--batch-size", default=5, help="images together, and the most model rows")
    add("--images-per-part", default=25, help="in a file of results")
    add("--out", type=str, default="build/study_metrics")
    add("--results", type=str, default="study_metrics", help="name of the report")
    a = parser.parse_args()
    if not (assets.folder() / PHOTOGRAPHS).is_dir():
        parser.error(
            f"needs the photographs {PHOTOGRAPHS} in {assets.folder()}; name another "
            "place with JAXATTR_ASSETS"
        )
    table = rows(a)
    values, areas, right = measured(a)
    values["MuFidelity"], undefined = defined(values["MuFidelity"])
    notes = NOTES.format(
        a=a,
        area=areas.mean(),
        undefined=UNDEFINED.format(undefined) if undefined else "",
        channels="1,280",
        superpixels=SUPERPIXELS,
        size=SMOOTHING_SIZE,
    )
    head = f"{a.model.partition('=')[0]}, {PHOTOGRAPHS}, {a.images} photographs"
    texts = {
        "scores": (f"{right:.0%} are classified as labelled.", scores_table),
        "ranks": (RANKS.format(count=len(table)), ranks_table),
        "differences, paired": ("", differences_table),
        "agreement of the metrics": (AGREEMENT, agreement_table),
        "agreement of a metric with itself": (HALVES, halves_table),
    }
    report.write(
        a.results,
        "Five metrics, and how far their rankings of methods agree",
        [
            ("", paragraph(notes)),
            *(
                (
                    f"{head}: {what}",
                    f"{paragraph(text)}\n\n{make(table, values)}".lstrip(),
                )
                for what, (text, make) in texts.items()
            ),
        ],
        SEED,
    )
    figures.metrics_study(a.results)


if __name__ == "__main__":
    main()
