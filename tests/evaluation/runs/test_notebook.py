"""How results show themselves in a notebook."""

import html.parser

import jax
import jax.numpy as jnp
import numpy as np
import result_folders

import jaxattr as ja
from jaxattr.evaluation.boundary.boundary import load_boundary
from jaxattr.evaluation.explain.explanations import load_explanation
from jaxattr.evaluation.explain.outputs import Report
from jaxattr.evaluation.robustness.robustness import MethodRobustness
from jaxattr.evaluation.runs import notebook
from jaxattr.evaluation.spectrum.spectrum import ModelSpectrum


def tags(text):
    found = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append(
        (tag, dict(attributes))
    )
    parser.feed(text)
    return found


def test_an_explanation_is_two_pictures_and_its_names_are_text(tmp_path):
    folder = result_folders.explanations(tmp_path, (result_folders.NASTY,))
    (path,) = folder.glob("*.npz")
    text = load_explanation(path)._repr_html_()
    found = tags(text)
    assert "script" not in [tag for tag, _ in found]
    images = [attributes["src"] for tag, attributes in found if tag == "img"]
    assert len(images) == 3  # the photograph twice, once under the map
    assert all(source.startswith("data:image/") for source in images)
    assert len(text) < 200_000


def test_a_boundary_with_and_without_a_point(tmp_path):
    folder = result_folders.boundaries(tmp_path)
    found, missing = (load_boundary(folder / f"{i}.boundary.npz") for i in (0, 1))
    assert "espresso, 0.28 away" in found._repr_html_()
    assert "no boundary found" in missing._repr_html_()
    assert missing._repr_html_().count("<img") == 1


def test_tables_are_escaped_and_cut():
    rows = [["<script>", "1.5"]] * 60
    text = notebook.table_html(["name", "<b>"], rows, note="a & b")
    assert {tag for tag, _ in tags(text)} <= {
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "p",
    }
    assert text.count("<tr>") == 1 + notebook.MOST_ROWS
    assert "and 10 rows more" in text
    assert "a &amp; b" in text
    assert text.count("text-align:right") == 1 + notebook.MOST_ROWS


def test_an_evaluation_is_its_short_summary():
    logits_fn = lambda x: 5 * jnp.mean(x, axis=(1, 2))
    images = jax.random.uniform(jax.random.key(0), (3, 4, 4, 3))
    found = ja.evaluation.evaluate(
        {"mean": logits_fn},
        ["saliency"],
        ["insertion"],
        images,
        jnp.array([0, 1, 2]),
        key=jax.random.key(1),
    )
    text = found._repr_html_()
    assert "saliency" in text
    assert "better: insertion: higher" in text


def test_the_robustness_of_a_method_is_a_row_an_attack_and_budget():
    scores = {"top_k": np.array([1.0, 0.5]), "success": np.array([True, False])}
    found = MethodRobustness(
        "<saliency>",
        np.arange(2),
        np.zeros((2, 4, 4)),
        {("top_k", 2 / 255): {**scores, "distance": np.zeros(2)}},
        {"random": {"top_k": 0.1}, "shift": {"top_k": 0.25}},
    )
    text = found._repr_html_()
    for word in ("2/255", "0.750", "0.500", "2 images", "maps reach top_k 0.250"):
        assert word in text
    assert "<saliency>" not in text
    assert "distance" not in text


def test_a_spectrum_is_a_row_a_band():
    columns = [np.array([0.5, 0.25]), np.zeros((1, 2)), np.full(2, np.inf)]
    importance = ja.SpectralImportance(
        *columns, np.zeros(4), np.array([0.75, 0.25]), np.array(0.125)
    )
    text = ModelSpectrum(
        *("<tiny>", np.arange(1), importance, np.zeros((2, 2))),
        *(np.array([True]), None, {}),
    )._repr_html_()
    for word in ("0.7500", "inf", "1 image:", "accuracy 100.0%", "score 0.125"):
        assert word in text
    assert "<tiny>" not in text


def test_a_report_without_rows_is_a_table_without_rows():
    assert "<table>" in Report((), (), (), ())._repr_html_()
