"""What pages on bases, certificates and perturbation show runs, block after block."""

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_perturbation(capsys):
    names = run("perturbation.md")
    assert capsys.readouterr().out == "(2, 6) (2, 6, 6)\n"
    assert names["maps"].shape == names["images"].shape
    logits = names["logits_fn"](names["images"]) - names["logits_fn"](
        0 * names["images"]
    )
    gain = np.take_along_axis(np.asarray(logits), names["labels"][:, None], 1)[:, 0]
    np.testing.assert_allclose(names["values"].sum(1), gain, atol=1e-5)
