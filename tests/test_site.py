"""The site has every public name once, and what its pages show runs."""

import pathlib
import sys

import pytest

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
