"""Folders of results as the commands write them, made without a model."""

import json

import numpy as np

import jaxattr as ja
from jaxattr.evaluation.explain.explanations import Explanation, save_explanation

NASTY = """<script>alert(1)<'"& x.png"""
"""A file name that would run a script in a page that did not escape it."""
MARKUP = "</script><script>alert(1)</script>"
"""The name of a class that would end the data of a page that did not escape it."""


def explanations(
    folder, files=("a.png", "b.png"), methods=("saliency",), *, side=16, noise=False
):
    """``STEM.METHOD.npz`` with a red left half and a blue right one."""
    folder.mkdir(parents=True, exist_ok=True)
    signs = np.repeat([1.0, 0.0, -1.0, 0.0], side // 4)
    values = np.broadcast_to(signs[None, :, None], (side, side, 3)).astype(np.float32)
    if noise:
        values = np.random.default_rng(0).normal(size=(128, 128, 3)).astype(np.float32)
    curve = np.linspace(0, 1, 9, dtype=np.float32)
    for i, file in enumerate(files):
        image = np.full(values.shape, (i + 1) / (len(files) + 1), np.float32)
        for j, method in enumerate(methods):
            explanation = Explanation(
                photograph=f"photographs/{file}",
                model="tiny",
                weights="random",
                method=method,
                image=image,
                map=(i + 1) * values,
                label=1,
                label_name=MARKUP if file == NASTY else f"class {i}",
                probabilities=np.array([0.25, 0.75], np.float32),
                options={"steps": 3},
                key_data=np.zeros(2, np.uint32),
                batch_size=8,
                insertion=curve ** (1 + i + j),
                deletion=1 - curve ** (1 + i + j),
                version=ja.__version__,
            )
            stem = file.rsplit(".", 1)[0]
            save_explanation(folder / f"{stem}.{method}.npz", explanation)
    return folder


def run_json(results, command, *, version=ja.__version__, **fields):
    """``run.json`` as a command writes it."""
    record = {"command": command, "arguments": [command], "folder": None}
    record |= {"versions": {"jaxattr": version}, **fields}
    (results / "run.json").write_text(json.dumps(record))


def boundaries(folder, count=2):
    """``STEM.boundary.npz``, the last one without a boundary."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image = np.full((16, 16, 3), 0.5, np.float32)
        found = i < count - 1
        fields = {
            "photograph": f"{i}.png",
            "model": "tiny",
            "image": image,
            "point": image + 0.01 * found,
            "distance": 0.28 if found else np.inf,
            "found": found,
            "label": 0,
            "label_name": "crane",
            "behind": 1,
            "behind_name": "espresso" if found else "",
            "member": "ddn" if found else "",
            "search": ["ddn", "fab"],
            "bsm": image - 0.5 + found,
            "big": image - 0.5 - found,
            "version": ja.__version__,
            "tried": ["ddn"],
            "reason": "" if found else "the gradient is zero",
        }
        np.savez(folder / f"{i}.boundary.npz", **fields)
    return folder


def evaluation(folder, *, files=30, methods=("saliency", "agi"), finished=True):
    """Tables of two metrics, and ``settings.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    protocol = '"channel_sum, 8 steps"'
    header = "model,method,file,class,class_name,predicted,probability,metric,protocol,"
    lines = [header + "score,shown"]
    lines += [
        f"tiny,{m},f{i}.png,{i % 4},crane,{i % 4},0.5,{metric},{protocol},"
        f"{(i * 7 % 30) / 100 + j / 1000},0.5"
        for j, m in enumerate(methods)
        for metric in ("insertion", "deletion")
        for i in range(files)
    ]
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    settings = {
        "jaxattr": ja.__version__,
        "models": {"tiny": {}},
        "methods": {m: {} for m in methods},
        "photographs": {"count": files + 5 * (not finished)},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    if finished:
        lines = ["model,method,metric,protocol,images,mean,low,high,better"]
        lines += [
            f"tiny,{m},{metric},{protocol},{files},0.5,0.4,0.6,{better}"
            for m in methods
            for metric, better in (("insertion", "higher"), ("deletion", "lower"))
        ]
        (folder / "summary.csv").write_text("\n".join(lines) + "\n")
        lines = ["model,method,metric,protocol,share,mean,low,high"]
        lines += [
            f"tiny,{m},insertion,{protocol},{k / 8},{k / 8},{k / 9},{k / 8}"
            for m in methods
            for k in range(9)
        ]
        (folder / "curves.csv").write_text("\n".join(lines) + "\n")
    return folder


def spectrum(folder, *, finished=True):
    """``bands.csv`` and, at the end of a run, ``scores.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["model,band,value,standard_error,share"]
    lines += [f"tiny,{i},{1 / (i + 1)},{'nan' if i else 0.1},0.25" for i in range(4)]
    (folder / "bands.csv").write_text("\n".join(lines) + "\n")
    if finished:
        scores = "model,images,accuracy,score,signed_score\ntiny,8,0.5,0.3,0.2\n"
        (folder / "scores.csv").write_text(scores)
    return folder


def robustness(folder):
    """``summary.csv`` and ``images.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "method,attack,epsilon,moved,top_k,lens_recall,lens_recall_diverse,kendall"
    ]
    lines += [f"saliency,top_k,{e}/255,1,{1 - e / 10},0.9,0.8,0.7" for e in (1, 2, 4)]
    (folder / "summary.csv").write_text("\n".join(lines) + "\n")
    lines = ["method,attack,epsilon,file,top_k"]
    lines += [f"saliency,top_k,{e}/255,a.png,0.5" for e in (1, 2, 4)]
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder
