"""Folders of small random photographs, and the tables that commands write."""

import csv

import numpy as np
from PIL import Image


def draw(path, seed):
    """One of 20 x 20 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def draw_labelled(folder, count=5):
    """``folder`` with so many of them, of four classes in turn, and ``labels.csv``."""
    for i in range(count):
        draw(folder / f"{i}.png", i)
    table = "\n".join(["file,class", *(f"{i}.png,{i % 4}" for i in range(count))])
    (folder / "labels.csv").write_text(table)
    return folder


def rows(path):
    """A table as a list of mappings."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
