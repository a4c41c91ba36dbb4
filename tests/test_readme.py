"""What the README shows runs as it stands, block after block."""

import pathlib
import re
import tomllib

import matplotlib.pyplot as plt
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_blocks_run(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    assert len(blocks[0].splitlines()) <= 13
    # In one namespace, as a reader would paste them into one session.
    exec("\n".join(blocks), {"__name__": "readme"})
    areas, shape = capsys.readouterr().out.splitlines()
    assert len(areas.strip("[]").split()) == 4
    assert shape == "(4, 32, 32, 3)"


def test_the_example_of_figures_runs(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(block, {"__name__": "results"})
    assert (tmp_path / "figure.pdf").stat().st_size > 5000
    plt.close("all")


@pytest.mark.slow
def test_the_examples_of_perturbation_run(capsys):
    text = (ROOT / "docs" / "perturbation.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    names = {"__name__": "perturbation"}
    exec("\n".join(blocks), names)
    assert capsys.readouterr().out == "(2, 6) (2, 6, 6)\n"
    np.testing.assert_allclose(names["maps"].shape, (2, 16, 16, 3))
    logits, black = (
        names["logits_fn"](x) for x in (names["images"], 0 * names["images"])
    )
    gain = np.take_along_axis(np.asarray(logits - black), names["labels"][:, None], 1)
    np.testing.assert_allclose(names["values"].sum(1), gain[:, 0], atol=1e-5)


def test_figure_is_there_and_small():
    (path,) = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    figure = ROOT / path
    assert figure.stat().st_size < 400_000


def test_commands_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\S+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    for extra in re.findall(r"pip install '[^']*\[(\w+)\]'", README):
        assert extra in extras


def test_version_is_one():
    import jaxattr

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    dynamic = project["tool"]["setuptools"]["dynamic"]["version"]
    assert dynamic == {"attr": "jaxattr._version.__version__"}
    assert jaxattr.__version__ == jaxattr._version.__version__
