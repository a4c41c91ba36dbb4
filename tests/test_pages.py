"""What the pages on bases and certificates show runs, block after block."""

import pathlib
import re

import numpy as np
import pytest

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"


def run(page):
    """The names that the blocks of a page leave behind."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    names = {"__name__": page}
    exec("\n".join(blocks), names)
    return names


def test_bases():
    names = run("bases.md")
    logits, labels = names["logits_fn"](names["images"]), names["labels"]
    change = (logits - names["logits_fn"](0 * names["images"]))[np.arange(4), labels]
    np.testing.assert_allclose(names["shares"].sum(1), change, rtol=1e-3)
    assert names["approximations"].shape == (4, 4, 4, 3)
    assert names["finest_details"] > 0


@pytest.mark.slow
def test_certificates():
    names = run("certificates.md")
    assert (names["lower_bound"] > 0.5).all()
    assert names["stays"].any()
