"""Band importance and robustness together, on ImageNet models and CIFAR-10 twins.

    python -m benchmarks.study_spectral --photographs 40 --model efficientnet_lite0

Needs the folder of weights and photographs (``JAXATTR_ASSETS``, by default
``../shared/assets``). Every part is kept under ``--parts``, so it can be stopped.
"""

from __future__ import annotations

import argparse
import csv
import json

import jax.numpy as jnp
import numpy as np

from benchmarks import assets, cifar_twins, figures, report
from jaxattr import spectral_score
from jaxattr.attributions import spectral_distribution
from jaxattr.evaluation.runs.files import make_folder
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.evaluation.spectrum.spectrum import Settings, measure
from jaxattr.photographs.reading import read_photograph

SEED = 0
RESAMPLES = 2000


def photographs(model, count):
    """Labelled validation photographs as the model sees them."""
    folder = assets.folder() / "imagenet-val-boxes"
    with open(folder / "boxes.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))[:count]
    seen = [model.preprocess(read_photograph(folder / row["file"])) for row in rows]
    return np.stack(seen).astype(np.float32), np.array([int(r["class"]) for r in rows])


def intervals(spectra, reference):
    """95 % bootstrap intervals over images, the same resamples for every model."""
    count = len(spectra[0].correct)
    draws = np.random.default_rng(SEED).integers(0, count, (RESAMPLES, count))
    against = next(s for s in spectra if s.name == reference).errors
    found = {}
    for s in spectra:
        phi = s.importance.per_image[draws].mean(1)
        shares = spectral_distribution(jnp.asarray(phi))
        wrong = s.errors.mean(1)[:, draws].mean(-1)
        base = against.mean(1)[:, draws].mean(-1)
        low = phi[:, : phi.shape[1] // 4].sum(1) / phi.sum(1)
        found[s.name] = {
            "accuracy": s.correct[draws].mean(1),
            "score": np.asarray(spectral_score(shares)),
            "signed": np.asarray(spectral_score(shares, signed=True)),
            "low": low,
            "mCE": (wrong / base).mean(0),
            "error": wrong.mean(0),
            **{name: c[draws].mean(1) for name, c in s.changes.items()},
        }
    return found


def point(spectra, reference):
    """The same numbers on all images."""
    against = next(s for s in spectra if s.name == reference).errors
    found = {}
    for s in spectra:
        phi = s.importance.values
        share = jnp.asarray(s.importance.distribution)
        found[s.name] = {
            "accuracy": s.correct.mean(),
            "score": float(s.importance.score),
            "signed": float(spectral_score(share, signed=True)),
            "low": phi[: len(phi) // 4].sum() / phi.sum(),
            "mCE": (s.errors.mean((1, 2)) / against.mean((1, 2))).mean(),
            "error": s.errors.mean(),
            **{name: c.mean() for name, c in s.changes.items()},
        }
    return found


def tables(spectra, reference):
    bands = report.markdown(
        ["model", *(f"band {i}" for i in range(len(spectra[0].importance.values)))],
        [
            [
                s.name,
                *(
                    f"{v:.3f} ± {1.96 * e:.3f}"
                    for v, e in zip(
                        s.importance.values, s.importance.standard_error, strict=True
                    )
                ),
            ]
            for s in spectra
        ],
    )
    spread, middle = intervals(spectra, reference), point(spectra, reference)
    columns = list(next(iter(middle.values())))
    rows = [
        [
            name,
            *(
                "{:.3f} ({:.3f} to {:.3f})".format(
                    middle[name][c], *np.percentile(spread[name][c], [2.5, 97.5])
                )
                for c in columns
            ),
        ]
        for name in middle
    ]
    first = {"fgsm": "mPE FGSM", "pgd": "mPE PGD", "low": "lowest quarter"}
    scores = report.markdown(["model", *(first.get(c, c) for c in columns)], rows)
    return bands, scores, spread


def differences(spread, pairs):
    """Paired differences between twins."""
    rows = []
    for robust, normal in pairs:
        row = [f"{robust} - {normal}"]
        for column in ("signed", "low", "mCE", "fgsm", "pgd"):
            gap = spread[robust][column] - spread[normal][column]
            row.append(
                "{:.3f} ({:.3f} to {:.3f})".format(
                    np.mean(gap), *np.percentile(gap, [2.5, 97.5])
                )
            )
        rows.append(row)
    return report.markdown(
        ["pair", "signed score", "lowest quarter", "mCE", "mPE FGSM", "mPE PGD"], rows
    )


def keep_first(name, spectra):
    """What the figure shows of the first model and no table holds."""
    first = spectra[0]
    plain = lambda array: np.round(array.astype(float), 4).tolist()
    record = {
        "model": first.name,
        "per_image": plain(first.importance.per_image),
        "interactions": plain(first.interactions),
    }
    report.RESULTS.mkdir(exist_ok=True)
    path = report.RESULTS / f"study_spectral_{name}.json"
    path.write_text(json.dumps(record) + "\n")


def study(name, models, images, labels, settings, parts):
    with Progress(0) as progress:
        spectra = measure(
            models, images, labels, settings, files=parts, progress=progress
        )
    keep_first(name, spectra)
    return spectra


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", help="ImageNet models")
    parser.add_argument("--photographs", type=int, default=40)
    parser.add_argument("--cifar", type=int, default=120, help="CIFAR-10 images")
    parser.add_argument("--parts", default="build/study_spectral")
    arguments = parser.parse_args()
    parts = RowFiles(make_folder(arguments.parts))
    sections = []
    shared = {"corrupted": True, "attacked": ("fgsm", "pgd"), "seed": SEED}

    twins = {
        f"{a}-{t}": cifar_twins.load(assets.folder(), a, t)
        for a in cifar_twins.ARCHITECTURES
        for t in cifar_twins.TRAININGS
    }
    images, labels = cifar_twins.test_images(assets.folder())
    images, labels = images[: arguments.cifar], labels[: arguments.cifar]
    settings = Settings(
        preset="cifar", images_per_batch=40, batch_size=128, epsilon=2 / 255, **shared
    )
    spectra = study("cifar", twins, images, labels, settings, parts)
    bands, scores, spread = tables(spectra, "smallgap-normal")
    pairs = [
        (f"{a}-{t}", f"{a}-normal")
        for a in cifar_twins.ARCHITECTURES
        for t in cifar_twins.TRAININGS[1:]
    ]
    sections += [
        (f"CIFAR-10 twins, {len(labels)} test images: importance per band", bands),
        ("CIFAR-10 twins: scores and robustness", scores),
        ("CIFAR-10 twins: robust less normal, paired", differences(spread, pairs)),
    ]

    names = arguments.model or ["efficientnet_lite0"]
    nets = {name: assets.load(name) for name in names}
    seen = {name: photographs(net, arguments.photographs) for name, net in nets.items()}
    settings = Settings(images_per_batch=4, batch_size=16, epsilon=2 / 255, **shared)
    spectra = study(
        "imagenet",
        nets,
        {name: pair[0] for name, pair in seen.items()},
        {name: pair[1] for name, pair in seen.items()},
        settings,
        parts,
    )
    bands, scores, _ = tables(spectra, names[0])
    sections += [
        (f"ImageNet, {arguments.photographs} photographs: importance per band", bands),
        ("ImageNet: scores and robustness", scores),
    ]
    notes = (
        "Values in nats with 95 % intervals: ± 1.96 standard errors over images for "
        "bands, 2,000 bootstrap resamples of the images (the same for all models) for "
        "the rest. 8 bands, centred, absent bands zero. mCE: the 15 corruptions at 5 "
        "severities (the tables of ImageNet-C and of CIFAR-10-C) against the first "
        "model of its table, whose mCE is 1. mPE: mean change of the probability of the "
        "label, ε = 2/255, PGD of 10 steps. Lowest quarter: the share of bands 0 and 1 "
        "in the sum of the values."
    )
    report.write(
        "study_spectral",
        "Frequency bands and robustness",
        [("", notes), *sections],
        SEED,
    )
    figures.spectral("study_spectral")


if __name__ == "__main__":
    main()
