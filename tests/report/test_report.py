"""What a report holds, read as the browser reads it; ``test_browser`` opens one."""

import base64
import functools
import hashlib
import html.parser
import io
import json
import os
import re

import numpy as np
import pytest
import result_folders
import small_photographs
from PIL import Image

from jaxattr import cli
from jaxattr.evaluation.runs import pictures
from jaxattr.report import evaluate, tables, write_report
from jaxattr.report.blocks import Page
from jaxattr.report.page import to_html

MAKE = {
    "explain": result_folders.explanations,
    "boundary": result_folders.boundaries,
    "evaluate": result_folders.evaluation,
    "spectrum": result_folders.spectrum,
    "robustness": result_folders.robustness,
}


class Elements(html.parser.HTMLParser):
    """The elements of a page with their attributes, and the text of each kind."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = (tag, dict(attrs).get("id", ""))

    def handle_data(self, data):
        if self._open:
            self.texts[self._open] = self.texts.get(self._open, "") + data

    def handle_endtag(self, tag):
        self._open = None


def read(path):
    """The data of a page as its script gets them."""
    return json.loads(Elements(path.read_text()).texts["script", "page"])


def written(folder, **options):
    path, missing = write_report(folder, **options)
    return read(path), missing


def block(page, kind, i=0):
    return [b for b in page["blocks"] if b["type"] == kind][i]


@pytest.mark.parametrize("kind", MAKE)
def test_every_kind_of_results_has_a_page(kind, tmp_path, capsys):
    folder = MAKE[kind](tmp_path / "results with spaces")
    assert cli.main(["report", str(folder)]) == 0
    page = read(folder / "report.html")
    assert page["blocks"]
    assert page["missing"] == []
    assert str(folder / "report.html") in capsys.readouterr().out
    # Equal results, equal report.
    first = (folder / "report.html").read_bytes()
    assert cli.main(["report", str(folder)]) == 0
    assert (folder / "report.html").read_bytes() == first


@pytest.mark.parametrize("kind", MAKE)
def test_a_page_asks_for_nothing_from_anywhere(kind, tmp_path):
    path, _ = write_report(MAKE[kind](tmp_path / "r"))
    text = path.read_text()
    outside = text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert not re.search(r"https?:|//[a-z]+\.", outside)
    for tag, attributes in Elements(text).tags:
        assert tag not in ("link", "iframe", "object", "img")
        assert "src" not in attributes


def test_policy_allows_the_script_and_the_style_of_the_page_only(tmp_path):
    path, _ = write_report(result_folders.explanations(tmp_path / "r"))
    found = Elements(path.read_text())
    (policy,) = [
        a["content"]
        for t, a in found.tags
        if a.get("http-equiv") == "Content-Security-Policy"
    ]
    sha = lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{sha(found.texts['script', ''])}'" in policy
    assert f"style-src 'sha256-{sha(found.texts['style', ''])}'" in policy


def test_names_with_markup_are_text(tmp_path):
    folder = result_folders.explanations(
        tmp_path / "r", files=(result_folders.NASTY, "b.png")
    )
    path, _ = write_report(folder)
    text = path.read_text()
    assert "<script>alert" not in text
    assert [tag for tag, _ in Elements(text).tags].count("script") == 2
    photographs = block(read(path), "Gallery")["photographs"]
    assert photographs[0]["file"] == result_folders.NASTY
    assert photographs[0]["caption"] == f"{result_folders.MARKUP}, 75.0%"


def test_a_title_with_markup_is_text():
    text = to_html(Page("</title><script>alert(1)</script>", "", (), (), ()))
    assert [tag for tag, _ in Elements(text).tags].count("script") == 2


def decoded(uri):
    kind, data = uri.split(";base64,")
    assert kind in ("data:image/webp", "data:image/png")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image.convert("RGBA"), float) / 255


def test_a_map_is_transparent_where_it_is_zero_red_for_and_blue_against():
    signs = np.repeat([1.0, 0.0, -1.0, 0.0], 32)
    values = np.broadcast_to(signs[None, :, None], (128, 128, 1))
    uri, limit = pictures.overlay(values, 128)
    pixels = decoded(uri)
    towards, zero, against = (pixels[64, 16 + 32 * i] for i in range(3))
    assert limit == 1
    assert zero[3] < 0.05
    assert towards[3] > 0.95
    assert against[3] > 0.95
    assert towards[0] > towards[2] + 0.3
    assert against[2] > against[0] + 0.3


def test_a_map_that_is_not_finite_has_a_picture():
    values = np.full((8, 8, 3), np.nan)
    uri, limit = pictures.overlay(values, 64)
    assert limit == 1
    assert decoded(uri)[..., 3].max() < 0.05


def test_pictures_are_as_small_as_a_mail_needs(tmp_path, monkeypatch):
    """Noise takes the most bytes; it is smaller then, and at last there is less of it."""
    folder = result_folders.explanations(
        tmp_path / "r", [f"{i}.png" for i in range(6)], ("saliency", "agi"), noise=True
    )
    sizes, counts = [], []
    for budget in (4e7, 1e5, 3e4):
        monkeypatch.setattr(pictures, "BUDGET", budget)
        path, missing = write_report(folder)
        shown = block(read(path), "Gallery")["photographs"]
        assert missing == ()
        rest = len(to_html(Page("", "", (), (), ())))
        assert path.stat().st_size - rest < 1.3 * budget
        sizes.append(decoded(shown[0]["picture"]).shape[0])
        counts.append(len(shown))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 128 > sizes[-1]
    assert counts[0] == 6 > counts[-1]
    assert (
        "2 of 6 photographs" in block(read(path), "Gallery")["note"] or counts[-1] != 2
    )


def test_methods_come_as_they_were_asked_for(tmp_path):
    methods = ("saliency", "agi", "big")
    folder = result_folders.explanations(tmp_path / "r", methods=methods)
    page, _ = written(folder)
    assert block(page, "Gallery")["methods"] == ["AGI", "BIG", "Saliency"]
    result_folders.run_json(folder, "explain", methods=methods)
    page, _ = written(folder)
    assert block(page, "Gallery")["methods"] == ["Saliency", "AGI", "BIG"]


def test_curves_and_scores_of_a_map(tmp_path):
    page, _ = written(result_folders.explanations(tmp_path / "r"))
    shown = block(page, "Gallery")["photographs"][0]["maps"]["Saliency"]
    assert shown["scores"] == {"insertion": 0.5, "deletion": 0.5}
    np.testing.assert_allclose(shown["curves"]["Insertion"], np.linspace(0, 1, 9))


def test_what_is_missing_of_explanations_is_said(tmp_path, capsys):
    folder = result_folders.explanations(
        tmp_path / "r", ("a.png", "b.png"), ("saliency", "agi")
    )
    (folder / "b.agi.npz").unlink()
    (folder / "c.saliency.npz").write_bytes(b"PK damaged")
    asked = ["p/a.png", "p/b.png", "p/c.png", "p/d.png"]
    result_folders.run_json(
        folder, "explain", photographs=asked, methods=["saliency", "agi", "mfaba"]
    )
    assert cli.main(["report", str(folder)]) == 1
    said = capsys.readouterr().err
    assert "c.saliency.npz: not an explanation" in said
    assert "2 of 4 photographs that were asked for have no result: c.png, d.png" in said
    assert "b.png: no map of AGI, MFABA." in said
    assert len(read(folder / "report.html")["missing"]) == 4


def test_a_run_that_was_stopped_is_reported_as_one(tmp_path):
    folder = result_folders.evaluation(tmp_path / "r", finished=False)
    page, missing = written(folder)
    assert page["missing"] == list(missing)
    assert "not finished" in missing[0]
    assert "Saliency on tiny: 30 of 35 photographs are scored." in missing
    assert block(page, "Gallery")["scores"][1]["higher_is_better"] is False
    _, missing = written(result_folders.spectrum(tmp_path / "s", finished=False))
    assert "not finished" in missing[0]


def test_half_a_robustness_run_has_means_and_says_what_is_missing(tmp_path):
    folder = result_folders.robustness(tmp_path / "r")  # of a run before
    lines = ["method,attack,epsilon,file,top_k,success"]
    lines += [
        f"agi,random_sign,{e}/255,{file},{score},1"
        for e in (2, 8)
        for file, score in (("a.png", 0.5), ("b.png", 0.25))
    ]
    (folder / "images.unfinished.csv").write_text("\n".join(lines) + "\n")
    asked = {"photographs": ["a.png", "b.png", "c.png"], "methods": ["agi", "saliency"]}
    result_folders.run_json(folder, "robustness", **asked)
    page, missing = written(folder)
    assert "not finished" in missing[0]
    assert missing[1:] == (
        "AGI: 2 of 3 photographs are attacked.",
        "Saliency: 0 of 3 photographs are attacked.",
    )
    ((chart,),) = [b["charts"] for b in page["blocks"] if b["type"] == "Charts"]
    assert chart["series"][0]["x"] == [0, 2, 8]
    assert chart["series"][0]["y"] == [1, 0.375, 0.375]
    # Without a record too it is one of robustness.
    (folder / "run.json").unlink()
    (folder / "summary.csv").unlink()
    (folder / "images.csv").unlink()
    assert "not finished" in written(folder)[1][0]


def test_half_a_spectrum_run_has_bands_and_says_what_is_missing(tmp_path):
    folder = result_folders.spectrum(tmp_path / "r")  # of a run before
    lines = ["model,band,value,standard_error,share,images"]
    lines += [f"new,{i},0.5,inf,0.25,1" for i in range(4)]
    (folder / "bands.unfinished.csv").write_text("\n".join(lines) + "\n")
    asked = {"photographs": ["a.png", "b.png"], "models": ["new", "newer"]}
    result_folders.run_json(folder, "spectrum", **asked)
    page, missing = written(folder)
    assert "not finished" in missing[0]
    assert missing[1:] == (
        "new: 1 of 2 photographs are measured.",
        "newer: 0 of 2 photographs are measured.",
    )
    assert page["lead"] == "new, over 1 photograph."
    series = block(page, "Charts")["charts"][0]["series"][0]
    assert (series["y"], series["low"]) == ([0.5] * 4, [])


@pytest.mark.parametrize(
    ("command", "table"), [("robustness", "summary.csv"), ("spectrum", "bands.csv")]
)
def test_a_run_without_a_table_yet_is_refused_in_one_line(
    command, table, tmp_path, capsys
):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "x.npz").touch()
    result_folders.run_json(tmp_path, command)
    assert cli.main(["report", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"not finished, 1 part of the work is done and {table} is not there" in line
    assert not (tmp_path / "report.html").exists()


def test_results_of_another_version_say_so(tmp_path):
    folder = result_folders.explanations(tmp_path / "r")
    result_folders.run_json(folder, "explain", version="9.9.9")
    page, missing = written(folder)
    assert missing == ()
    assert "Made by jaxattr 9.9.9" in page["notes"][0]
    assert ["command", "jaxattr explain"] in page["facts"]


def test_a_table_of_another_version_is_refused_by_the_column_that_it_lacks(tmp_path):
    folder = result_folders.evaluation(tmp_path / "r")
    text = (folder / "images.csv").read_text()
    (folder / "images.csv").write_text(text.replace(",score,", ",points,", 1))
    with pytest.raises(ValueError, match="images.csv: no column 'score'"):
        write_report(folder)


def no_results(folder):
    folder.mkdir()


def no_folder(folder):
    pass


def file_in_its_place(folder):
    folder.write_text("")


def damaged_settings(folder):
    result_folders.evaluation(folder)
    (folder / "settings.json").write_text("{")


def damaged_maps(folder):
    folder.mkdir()
    (folder / "a.saliency.npz").write_bytes(b"")


def binary_table(folder):
    result_folders.evaluation(folder)
    (folder / "images.csv").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_results, "has no results of jaxattr explain, evaluate"),
        (no_folder, "expected a folder of results, got no such folder"),
        (file_in_its_place, "expected a folder of results, got a file"),
        (damaged_settings, "settings.json: cannot be read"),
        (damaged_maps, "no explanation can be read"),
        (binary_table, "images.csv: cannot be read"),
    ],
)
def test_bad_folders(make, message, tmp_path, capsys):
    make(tmp_path / "r")
    assert cli.main(["report", str(tmp_path / "r")]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert message in line
    assert captured.out == ""


def test_out_cannot_overwrite_results_or_go_where_nothing_may_be_written(
    tmp_path, capsys
):
    folder = result_folders.evaluation(tmp_path / "r")
    before = (folder / "images.csv").read_bytes()
    for out, message in (
        (folder / "images.csv", "expected a name that ends in .html"),
        (folder, "expected a name that ends in .html"),
        (tmp_path / "none" / "x.html", "No such file"),
    ):
        assert cli.main(["report", str(folder), "--out", str(out)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert (folder / "images.csv").read_bytes() == before
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_right_to_write(tmp_path, capsys):
    folder = result_folders.evaluation(tmp_path / "r")
    folder.chmod(0o500)
    try:
        assert cli.main(["report", str(folder)]) == 2
        assert "Permission denied" in capsys.readouterr().err
    finally:
        folder.chmod(0o700)


def test_long_tables_and_large_sets_are_cut_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_ROWS", 20)
    monkeypatch.setattr(evaluate, "MOST_PHOTOGRAPHS", 10)
    page, missing = written(result_folders.evaluation(tmp_path / "r"))
    assert missing == ()
    everything = block(page, "Table", 1)
    assert len(everything["rows"]) == 20
    assert "The first 20 of 120 rows" in everything["note"]
    gallery = block(page, "Gallery")
    assert "10 of 30 photographs" in gallery["note"]
    scores = [
        p["maps"]["Saliency"]["scores"]["insertion"] for p in gallery["photographs"]
    ]
    assert {min(scores), max(scores)} == {0.0, 0.29}


def test_columns_that_are_the_same_in_every_row_are_said_once(tmp_path):
    page, _ = written(result_folders.evaluation(tmp_path / "r"))
    scores = block(page, "Table")
    names = [column["name"] for column in scores["columns"]]
    assert names == ["method", "metric", "photographs", "mean", "from", "to", "better"]
    assert "protocol: channel_sum, 8 steps" in scores["note"]
    assert scores["rows"][0][0] == "Saliency"
    assert [c["is_number"] for c in scores["columns"][:4]] == [False, False, True, True]


def test_mean_curves_of_an_evaluation(tmp_path):
    page, _ = written(result_folders.evaluation(tmp_path / "r"))
    (chart,) = block(page, "Charts")["charts"]
    assert [series["name"] for series in chart["series"]] == ["Saliency", "AGI"]
    np.testing.assert_allclose(chart["series"][0]["y"], np.arange(9) / 8)
    assert chart["series"][0]["low"][8] < chart["series"][0]["y"][8]


def test_photographs_of_an_evaluation_are_shown_where_they_are_at_hand(tmp_path):
    folder = result_folders.evaluation(tmp_path / "r", files=3)
    small_photographs.draw(tmp_path / "photographs" / "f0.png", 0)
    small_photographs.draw(tmp_path / "secret.png", 1)
    text = (folder / "images.csv").read_text().replace("f1.png", "../secret.png")
    (folder / "images.csv").write_text(text)
    source = str(tmp_path / "photographs")
    result_folders.run_json(folder, "evaluate", folder=source)
    page, _ = written(folder)
    there, outside, gone = block(page, "Gallery")["photographs"]
    assert decoded(there["picture"]).shape[2] == 4
    assert outside["picture"] == gone["picture"] == ""
    assert there["caption"] == "crane, 50.0%"


def test_numbers_that_are_none_are_null_in_json(tmp_path):
    page, _ = written(result_folders.spectrum(tmp_path / "r"))
    bands = block(page, "Table", 1)
    assert [row[-2] for row in bands["rows"]] == [0.1, None, None, None]


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@functools.cache
def themes():
    """Name of a colour to colour, of the light and the dark theme."""
    from jaxattr.report.page import _asset

    style = _asset("report.css")
    found = []
    for selector in (r":root \{", r':root\[data-theme="dark"\] \{'):
        body = re.search(selector + r"([^}]*)\}", style).group(1)
        found.append(dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", body)))
    return found


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_from_what_is_behind_them(theme):
    """WCAG 2.2 AA: 4.5 for text, 3 for lines of charts."""
    colors = themes()[theme]
    for behind in ("back", "card"):
        for text in ("text", "soft", "accent"):
            assert contrast(colors[text], colors[behind]) >= 4.5, (text, behind)
    assert contrast(colors["text"], colors["warn-back"]) >= 4.5
    assert contrast(colors["text"], colors["line"]) >= 4.5
    for i in range(7):
        assert contrast(colors[f"c{i}"], colors["back"]) >= 3, i
