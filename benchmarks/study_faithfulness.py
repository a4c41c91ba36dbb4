"""Insertion and deletion of every method along a path, and of controls.

    python -m benchmarks.study_faithfulness --images 50 --model efficientnet_lite0

Needs the folder of labelled photographs (``JAXATTR_ASSETS``, by default
``../shared/assets``). Everything is kept under ``--out``: stopped and started again with
the same arguments it goes on where it was. Runs with ``--only`` some of the methods can
share a device; their folders ``parts`` put together are what the whole run goes on from.
For a look: ``--images 2 --num-steps 1 --num-samples 2 --curve-steps 8``.
"""

from __future__ import annotations

import argparse
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import assets, figures, report
from jaxattr import _random
from jaxattr._checks import check_key
from jaxattr.evaluation import Curve, evaluate
from jaxattr.evaluation.runs.bootstrap import bootstrap_means, interval
from jaxattr.evaluation.runs.files import file_name
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.metrics.ranked_curves import ORDERS
from jaxattr.photographs.reading import list_photographs, read_photograph
from jaxattr.steps import convolve_separable, gaussian_kernel

SEED = 0
ALPHAS = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0)
SETS = {
    "attexplore-eval": "squash",
    "imagenet-val-boxes": "squash",
    "nips17-ccby": "crop",
}
"""Folders of photographs, and what makes them what the weights' authors evaluated."""
REFERENCES, NUM_REFERENCES = "imagenet-sample", 32
SMOOTHING_SIZE = 7
"""Of AttEXplore's own kernel."""


def random_map(logits_fn, images, labels, *, key, batch_size, one_channel):
    """Normal noise; of one channel it gives every channel the same order."""
    shape = images.shape[1:3] + (1 if one_channel else images.shape[3],)
    noise = _random.normal(check_key(key, labels), shape, images.dtype)
    return jnp.broadcast_to(noise, images.shape)


def centred_blob(logits_fn, images, labels, *, key, batch_size):
    """A Gaussian around the centre, a quarter of the side wide."""
    rows, columns = (jnp.linspace(-1, 1, n) for n in images.shape[1:3])
    blob = jnp.exp(-2 * (rows[:, None] ** 2 + columns[None, :] ** 2))
    return jnp.broadcast_to(blob[None, :, :, None], images.shape).astype(images.dtype)


def magnitude(
    logits_fn, images, labels, *, key, batch_size, method, smoothing_size=0, **options
):
    """``|A|`` of a method, and that smoothed as AttEXplore smooths its gradients."""
    explain = {"saliency": ja.saliency, "integrated_gradients": ja.integrated_gradients}
    maps = explain[method](
        logits_fn, images, labels, key=key, batch_size=batch_size, **options
    )
    maps = jnp.abs(maps)
    if smoothing_size:
        maps = convolve_separable(maps, gaussian_kernel(smoothing_size))
    return maps


def methods(num_steps, num_samples):
    """Label to (method, options); published settings where no number is given."""
    steps = {} if num_steps is None else {"num_steps": num_steps}
    samples = {} if num_samples is None else {"num_samples": num_samples}
    few = {} if num_samples is None else {"num_targets": num_samples}
    ig = {"method": "integrated_gradients", **steps}
    smoothed = {"smoothing_size": SMOOTHING_SIZE}
    return {
        "saliency": ("saliency", {}),
        "input × gradient": ("input_x_gradient", {}),
        "SmoothGrad": ("smoothgrad", samples),
        "IG": ("integrated_gradients", steps),
        "expected gradients": ("expected_gradients", samples),
        "guided IG": ("guided_ig", steps),
        "MFABA": ("mfaba", steps),
        "AGI": ("agi", steps | few),
        "AttEXplore": ("attexplore", steps | samples),
        "AttEXplore, ascend": (
            "attexplore",
            {"direction": "ascend", **steps, **samples},
        ),
        "AttEXplore++ MIG": ("attexplore_pp", {"attack": "mig", **steps}),
        "AttEXplore++ GRA": ("attexplore_pp", {"attack": "gra", **steps}),
        **{
            # As an array α is an argument of one program, not a constant of six.
            fampe(alpha): ("fampe", {"alpha": np.float32(alpha), **steps, **samples})
            for alpha in ALPHAS
        },
        "control: random": (random_map, {"one_channel": False}),
        "control: random, one channel": (random_map, {"one_channel": True}),
        "control: centred blob": (centred_blob, {}),
        "control: absolute saliency": (magnitude, {"method": "saliency"}),
        "control: absolute IG": (magnitude, ig),
        "control: smoothed absolute saliency": (
            magnitude,
            {"method": "saliency", **smoothed},
        ),
        "control: smoothed absolute IG": (magnitude, ig | smoothed),
    }


def fampe(alpha):
    return f"FAMPE {alpha:g}"


CLAIMS = (
    (fampe(0.1), "AttEXplore"),
    (fampe(0.1), fampe(0.5)),
    ("AttEXplore++ MIG", "AttEXplore"),
    ("AttEXplore++ GRA", "AttEXplore"),
    ("AttEXplore", "AttEXplore, ascend"),
    ("AttEXplore", "IG"),
    (fampe(0.1), "IG"),
    ("AttEXplore", "control: centred blob"),
    ("AttEXplore", "control: smoothed absolute IG"),
    (fampe(0.1), "control: smoothed absolute IG"),
    ("IG", "control: absolute IG"),
)
"""What the papers say, or would have to say, is better than what."""


def between(low, high):
    return f"({low:.3f} to {high:.3f})"


def scores_table(evaluation, rates):
    """Scores under both orders, how much each order shows, and how fast it was."""
    header, rows = evaluation.summary()
    cells = {}
    for row in (dict(zip(header, row, strict=True)) for row in rows):
        cell = f"{row['mean']:.3f} {between(row['low'], row['high'])}"
        of = cells.setdefault(row["method"], ([], []))
        of[0].append(cell)
        of[1].append(row["shown"])
    speed = {
        r.method: [f"{r.images_per_second:.3g}"] if rates else []
        for r in evaluation.results
    }
    titles = titles_of(evaluation)
    # Insertion and deletion show alike.
    shown = [i for i, m in enumerate(evaluation.metrics) if m.name == "insertion"]
    titles += [f"shown, {evaluation.metrics[i].subtitle}" for i in shown]
    return report.markdown(
        ["method", *titles, *(["images/s"] if rates else [])],
        [
            [method, *scores, *(f"{fraction[i]:.3f}" for i in shown), *speed[method]]
            for method, (scores, fraction) in cells.items()
        ],
    )


def paired(titles, pairs):
    """Differences of pairs ``(name, a, b)``, functions of the number of a metric to its
    scores of the photographs."""
    rows = []
    for name, first, second in pairs:
        row = [name]
        for i in range(len(titles)):
            values = np.stack([first(i), second(i)])
            gap = values.mean(1)[0] - values.mean(1)[1]
            means = bootstrap_means(values)
            row.append(f"{gap:+.3f} {between(*interval(means[:, 0] - means[:, 1]))}")
        rows.append(row)
    return report.markdown(["difference", *titles], rows)


def titles_of(evaluation):
    return [f"{m.name}, {m.subtitle}" for m in evaluation.metrics]


def claims_table(evaluation, model):
    of = lambda method: lambda i: evaluation.scores(model, method, i)
    pairs = [(f"{a} - {b}", of(a), of(b)) for a, b in CLAIMS]
    return paired(titles_of(evaluation), pairs)


def oracle_table(evaluation, model):
    """The best α of every image, chosen by the very score that it is judged by."""

    def oracle(i):
        values = [evaluation.scores(model, fampe(alpha), i) for alpha in ALPHAS]
        best = np.max if evaluation.metrics[i].better == "higher" else np.min
        return best(values, axis=0)

    of = lambda method: lambda i: evaluation.scores(model, method, i)
    others = ("AttEXplore", fampe(0.1), "control: smoothed absolute IG")
    return paired(
        titles_of(evaluation),
        [(f"oracle - {name}", oracle, of(name)) for name in others],
    )


def references(model):
    """Photographs that stand for the data, in no set that is scored."""
    files = list_photographs(assets.folder() / REFERENCES)
    # Evenly over the classes, whose order the names have.
    chosen = files[:: max(1, len(files) // NUM_REFERENCES)][:NUM_REFERENCES]
    return np.stack([model.preprocess(read_photograph(file)) for file in chosen])


def study(name, model, photographs, arguments):
    """One model on one set of photographs."""
    metrics = tuple(
        Curve(kind, order, arguments.curve_steps)
        for order in ORDERS[:2]
        for kind in ("insertion", "deletion")
    )
    steps = "" if arguments.num_steps is None else f"-steps{arguments.num_steps}"
    samples = (
        "" if arguments.num_samples is None else f"-samples{arguments.num_samples}"
    )
    out = pathlib.Path(arguments.out) / file_name(
        f"{photographs}-{arguments.images}{steps}{samples}-curve{arguments.curve_steps}"
    )
    asked = methods(arguments.num_steps, arguments.num_samples)
    if arguments.only:
        asked = {
            label: method
            for label, method in asked.items()
            if set(arguments.only) & set(re.findall(r"[^\s,:]+", label))
        }
        out = out.with_name(file_name(f"{out.name}-{'-'.join(arguments.only)}"))
    with Progress(0) as progress:
        evaluation = evaluate(
            {name: model},
            asked,
            metrics,
            assets.folder() / photographs,
            key=jax.random.key(SEED),
            out=out / file_name(name),
            references=references(model),
            max_images=arguments.images,
            batch_size=arguments.batch_size,
            images_per_part=arguments.images_per_part,
            progress=progress,
        )
    first = evaluation.results[0]
    right = float(np.mean(first.predicted == first.labels))
    head = f"{name}, {photographs}, {len(first.labels)} photographs"
    sections = [
        (head, f"{right:.0%} of them are classified as labelled."),
        (f"{head}: scores", scores_table(evaluation, not arguments.no_rates)),
    ]
    if arguments.only:
        return sections
    return [
        *sections,
        (f"{head}: differences, paired", claims_table(evaluation, name)),
        (
            f"{head}: an oracle over α (it looks at the score)",
            oracle_table(evaluation, name),
        ),
    ]


NOTES = """\
Means with 95 % intervals from 2,000 bootstrap resamples of the photographs, the same
ones for all methods; differences are paired. Insertion: higher is better; deletion:
lower. Every score is the area under a curve of the probability of the labelled class,
which is also the class explained, on black, {steps} steps. Shown: the mean over the
curve of the fraction of pixels that have been shown; one order of pixels
(`channel_sum`) always shows half, `channel_union` shows more the less the channels of a
map agree. Controls: normal noise (its channels independent, or one for all), a Gaussian
around the centre that sees neither model nor photograph, absolute values of saliency and
IG, and those smoothed with AttEXplore's own {size}x{size} kernel. The oracle takes for
every photograph the best of {alphas} values of α by the score it is then judged by: no
method, and the best of {alphas} random ones would gain as well. Methods with their
published settings unless the command names other steps or samples."""
RATES = """\
 Images per second: explaining only, in batches, without compilation."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", action="append", help="NAME, or NAME=FILE of weights")
    add("--only", nargs="+", default=[], help="methods with one of these words in them")
    add("--set", action="append", choices=SETS, help="of photographs, several times")
    add("--images", type=int, default=50)
    add("--num-steps", type=int, help="of every path (default: published)")
    add("--num-samples", type=int, help="and targets (default: published)")
    add("--curve-steps", type=int, default=224)
    add("--batch-size", type=int, default=8)
    add("--images-per-part", type=int, default=256, help="in a file of results")
    add("--no-rates", action="store_true", help="the device does other work as well")
    add("--out", default="build/study_faithfulness")
    add("--results", default="study_faithfulness", help="name of the report")
    arguments = parser.parse_args()
    chosen = arguments.set or ["attexplore-eval", "imagenet-val-boxes"]
    missing = [n for n in (*chosen, REFERENCES) if not (assets.folder() / n).is_dir()]
    if missing:
        parser.error(
            f"needs folders of labelled photographs, {' and '.join(missing)} in "
            f"{assets.folder()}; name another place with JAXATTR_ASSETS"
        )
    sections = []
    for photographs in chosen:
        for asked in arguments.model or ["efficientnet_lite0"]:
            model = assets.load(asked, preprocessing=SETS[photographs])
            sections += study(model.name, model, photographs, arguments)
    notes = NOTES.format(
        steps=arguments.curve_steps, size=SMOOTHING_SIZE, alphas=len(ALPHAS)
    )
    notes += "" if arguments.no_rates else RATES
    report.write(
        arguments.results,
        "Insertion and deletion, with controls",
        [("", " ".join(notes.split("\n"))), *sections],
        SEED,
    )
    figures.faithfulness(arguments.results)


if __name__ == "__main__":
    main()
