"""How many labelled photographs a network gets right."""

import csv

import numpy as np
import pytest


def count_correct(classifier, folder, count):
    """Of the ``count`` photographs of a folder with a ``.tsv`` table, in batches of 50."""
    image = pytest.importorskip("PIL.Image")
    with next(folder.glob("*.tsv")).open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert len(rows) == count
    correct = 0
    for start in range(0, count, 50):
        batch = rows[start : start + 50]
        photos = [image.open(folder / row["file"]) for row in batch]
        images = np.stack([classifier.preprocess(photo) for photo in photos])
        # One shape for all, so that it compiles once.
        images = np.concatenate([images, np.zeros_like(images[:1]).repeat(50, 0)])[:50]
        predicted = np.argmax(np.asarray(classifier(images)), -1)[: len(batch)]
        correct += int(np.sum(predicted == [int(row["class"]) for row in batch]))
    print(f"{folder.name}: {correct} of {count}")
    return correct
