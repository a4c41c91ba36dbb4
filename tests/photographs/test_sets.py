"""A folder of photographs and what is on them."""

import pytest
from PIL import Image

from jaxattr.photographs.sets import (
    labelled_photographs,
    left_out,
    resolve_labels,
)


def draw(path):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.png", "c.png"):
        draw(tmp_path / "photographs" / name)
    return tmp_path / "photographs"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.tsv", "file\tclass\tmore\nb.png\t2\tx\na.png\ttiger cat\ty\n"),
        ("labels.csv", "file,label\nb.png,2\na.png,tiger cat\n"),
        ("boxes.tsv", "file\tclass\nb.png\t2\na.png\ttiger cat\n"),
    ],
)
def test_a_table_in_the_folder(folder, name, text):
    (folder / name).write_text(text)
    found = labelled_photographs(folder)
    assert [(p.path.name, p.label) for p in found] == [
        ("a.png", "tiger cat"),
        ("b.png", "2"),
    ]
    assert resolve_labels(found, ["crane", "tiger cat", "lynx"], 3) == [1, 2]


def test_a_table_elsewhere(folder, tmp_path):
    (tmp_path / "mine.csv").write_text("file,class\nc.png,0\n")
    (found,) = labelled_photographs(folder, tmp_path / "mine.csv")
    assert found.path == folder / "c.png"


def test_files_may_be_named_from_the_root_and_tables_begin_with_a_mark(folder):
    (folder / "labels.csv").write_text(
        f"file,class\n{folder.resolve() / 'a.png'},1\n", encoding="utf-8-sig"
    )
    (found,) = labelled_photographs(folder)
    assert (found.path, found.label) == (folder / "a.png", "1")
    (folder / "labels.csv").write_text(
        f"file,class\na.png,1\n{folder.resolve() / 'a.png'},1\n"
    )
    with pytest.raises(ValueError, match="line 3: .*a.png is there twice"):
        labelled_photographs(folder)


@pytest.mark.parametrize("made", ["settings.json", "parts"])
def test_results_in_the_folder_are_no_class(tmp_path, made):
    draw(tmp_path / "lynx" / "1.png")
    draw(tmp_path / "results" / "curves.png")
    (tmp_path / "results" / made).mkdir()
    (tmp_path / "new" / "inner").mkdir(parents=True)
    out = tmp_path / "new" / "inner"
    assert [p.label for p in labelled_photographs(tmp_path, out=out)] == ["lynx"]
    with pytest.raises(ValueError, match="new: no image file"):
        labelled_photographs(tmp_path)
    with pytest.raises(ValueError, match="lynx: holds the photographs of a class"):
        labelled_photographs(tmp_path, out=tmp_path / "lynx")
    # Beside the classes themselves.
    out.rmdir()
    (tmp_path / "new").rmdir()
    (tmp_path / "settings.json").touch()
    (tmp_path / "parts").mkdir()
    assert [p.label for p in labelled_photographs(tmp_path)] == ["lynx"]


def test_a_folder_a_class(tmp_path):
    draw(tmp_path / "lynx" / "1.png")
    draw(tmp_path / "crane" / "2.png")
    found = labelled_photographs(tmp_path)
    assert [(p.path.name, p.label) for p in found] == [
        ("2.png", "crane"),
        ("1.png", "lynx"),
    ]


BAD = [
    (None, "labels are missing: expected labels.tsv or labels.csv"),
    ("name,class\na.png,1\n", "expected the columns file and class"),
    ("file,class\n", "expected the columns file and class, and rows"),
    ("file,class\na.png,\n", "line 2: no file or no class"),
    ("file,class\na.png,1\nz.png,1\n", "line 3: .*z.png: no such file"),
    ("file,class\na.png,1\n./a.png,2\n", "line 3: .*a.png is there twice, .* line 2"),
    ("file,class\n../out.png,1\n", "line 2: ../out.png: expected a file in .*photogr"),
    ("file,class\nb/../../out.png,1\n", "line 2: b/../../out.png: expected a file in"),
    ("file,class\n/a.png,1\n", "line 2: /a.png: expected a file in .*photographs"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_bad_tables(folder, text, message):
    draw(folder.parent / "out.png")
    if text is not None:
        (folder / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        labelled_photographs(folder)


def test_bad_folders(folder, tmp_path):
    with pytest.raises(ValueError, match="expected a folder of photographs"):
        labelled_photographs(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"nowhere.csv: no such file"):
        labelled_photographs(folder, tmp_path / "nowhere.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no image file in this folder"):
        labelled_photographs(tmp_path / "empty")


def test_a_class_that_the_model_does_not_have(folder):
    (folder / "labels.csv").write_text("file,class\na.png,7\n")
    with pytest.raises(ValueError, match=r"a\.png: label: expected 0 to 2, got 7"):
        resolve_labels(labelled_photographs(folder), None, 3)


@pytest.mark.parametrize("text", ["+-5", "--1", "1_0", "²", "1.0"])
def test_what_is_no_number_is_taken_for_a_name(folder, text):
    (folder / "labels.csv").write_text(f"file,class\na.png,{text}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="label: no class is called"):
        resolve_labels(labelled_photographs(folder), ["crane"] * 20, 20)


def test_what_systems_leave_in_folders_is_no_class_and_no_photograph(tmp_path):
    draw(tmp_path / "lynx" / "1.png")
    draw(tmp_path / "lynx" / "._1.png")
    draw(tmp_path / "__MACOSX" / "1.png")
    (tmp_path / "lynx" / "notes.pdf").touch()
    found = labelled_photographs(tmp_path)
    assert [(p.path.name, p.label) for p in found] == [("1.png", "lynx")]
    draw(tmp_path / "stray.png")
    assert [(u.path.name, u.reason) for u in left_out(tmp_path, found)] == [
        ("notes.pdf", "no photograph by its suffix"),
        ("._1.png", "hidden"),
        ("stray.png", "in no folder of a class"),
    ]
    # A table leaves out what it does not list, on purpose.
    for table in (tmp_path / "mine.csv", tmp_path / "labels.csv"):
        table.write_text("file,class\nlynx/1.png,lynx\n", encoding="utf-8")
        given = table if table.name == "mine.csv" else None
        names = [u.path.name for u in left_out(tmp_path, found, given)]
        assert names == ["notes.pdf", "._1.png"]
