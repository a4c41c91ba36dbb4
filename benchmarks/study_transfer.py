"""How well attacks made on one network transfer to others, with and without momentum.

    python -m benchmarks.study_transfer

Needs the folder of weights and photographs (``JAXATTR_ASSETS``, by default
``../shared/assets``). The photographs are the first of the validation set that every
network classifies correctly, so that success is the attack's alone.
"""

from __future__ import annotations

import argparse
import csv

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import assets, report
from jaxattr.photographs.reading import read_photograph

SEED = 0
SURROGATE = "efficientnet_lite0"
VICTIMS = ("mobilenet_v2", "resnet50", "resnet18")
ATTACKS = {
    "`ssa(decay=1.0)`, the default, as SSM of TransferAttack": ja.attacks.ssa(
        decay=1.0
    ),
    "`ssa(decay=0.0)`, as the official script": ja.attacks.ssa(decay=0.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--photographs", type=int, default=24)
    add("--batch", type=int, default=8)
    add("--epsilon", type=float, default=16 / 255)
    arguments = parser.parse_args()

    models = {name: assets.load(name) for name in (SURROGATE, *VICTIMS)}
    images, labels = photographs(models, arguments.photographs)

    @jax.jit
    def attack_images(attack_index, images, labels, keys):
        moved = [
            lambda *given, attack=attack: (
                ja.attacks.run(
                    attack,
                    models[SURROGATE],
                    given[0],
                    given[1],
                    key=given[2],
                    epsilon=arguments.epsilon,
                ).images
            )
            for attack in ATTACKS.values()
        ]
        return jax.lax.switch(attack_index, moved, images, labels, keys)

    predict = {name: jax.jit(model) for name, model in models.items()}
    keys = jax.random.split(jax.random.key(SEED), len(images))
    rows = []
    for index, name in enumerate(ATTACKS):
        fooled = {model: [] for model in models}
        for start in range(0, len(images), arguments.batch):
            batch = slice(start, start + arguments.batch)
            moved = attack_images(index, images[batch], labels[batch], keys[batch])
            for model, logits_fn in predict.items():
                wrong = jnp.argmax(logits_fn(moved), axis=-1) != labels[batch]
                fooled[model] += wrong.tolist()
        rows.append((name, *(f"{100 * np.mean(fooled[m]):.1f}" for m in models)))

    text = (
        f"The first {len(images)} validation photographs that all four networks "
        f"classify correctly, ε = {255 * arguments.epsilon:g}/255, 10 steps of ε/10, 20 "
        "copies a step. Success in percent: the network no longer predicts the label."
    )
    header = ["attack", f"{SURROGATE} (surrogate)", *VICTIMS]
    table = report.markdown(header, rows)
    report.write("study_transfer", "Transfer of attacks", [("", text), ("", table)], 0)


def photographs(models, count):
    """The first ``count`` labelled photographs that every model classifies correctly."""
    folder = assets.folder() / "imagenet-val-boxes"
    predict = {name: jax.jit(model) for name, model in models.items()}
    images, labels = [], []
    with open(folder / "boxes.tsv", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            path = folder / row["file"]
            image = models[SURROGATE].preprocess(read_photograph(path))
            label = int(row["class"])
            seen = jnp.asarray(image, jnp.float32)[None]
            if all(int(jnp.argmax(f(seen))) == label for f in predict.values()):
                images.append(image)
                labels.append(label)
            if len(images) == count:
                break
    return jnp.asarray(np.stack(images), jnp.float32), jnp.asarray(labels)


if __name__ == "__main__":
    main()
