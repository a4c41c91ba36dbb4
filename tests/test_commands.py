"""What all commands have in common: options, records, figures, completion."""

import json
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
import small_photographs
import tiny_classifier
from quick import quick

import jaxattr as ja
from jaxattr import cli, plots
from jaxattr._checks import check_choice
from jaxattr.commands import completion
from jaxattr.evaluation.explain.explanations import load_explanation
from jaxattr.evaluation.runs.figures import FigureFiles, new_figure, save


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """What ``jaxattr.models.load`` was asked for; it gives the tiny classifier."""
    calls = []

    def load(name, weights=None, **options):
        calls.append((name, weights, options))
        return tiny_classifier.tiny_classifier()

    monkeypatch.setattr(ja.models, "load", load)
    return calls


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(("a", "b")):
        small_photographs.draw(tmp_path / "photographs" / f"{name}.png", i)
    (tmp_path / "photographs" / "notes.txt").write_text("")
    return tmp_path / "photographs"


def explain(folder, out, *arguments):
    given = ["explain", folder, "--out", out, "--method", "saliency", *arguments]
    return cli.main([str(word) for word in given])


def one_error_line(capsys):
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("jaxattr: error: ")
    return line


def test_a_folder_stands_for_its_photographs(folder, tmp_path, capsys):
    out = tmp_path / "out"
    look = ("--format", "png,svg,PDF", "--overlay", "--colormap", "viridis")
    assert explain(folder, out, "--no-curves", *look, "--json", "--quiet") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert [row["photograph"] for row in found["results"]] == ["a.png", "b.png"]
    assert found["results"][0]["insertion"] is None
    assert captured.err == ""
    assert {p.name for p in out.iterdir()} == {
        *("parts", "run.json", "a.saliency.npz", "b.saliency.npz"),
        *(f"{stem}.{kind}" for stem in "ab" for kind in ("png", "svg", "pdf")),
    }


def test_other_looks_draw_the_figures_anew_and_nothing_else(folder, tmp_path):
    out = tmp_path / "out"
    assert explain(folder, out, "--no-curves") == 0
    maps = (out / "a.saliency.npz").stat().st_mtime_ns
    plain = matplotlib.image.imread(out / "a.png")
    assert explain(folder, out, "--no-curves", "--overlay", "--dpi", "100") == 0
    assert (out / "a.saliency.npz").stat().st_mtime_ns == maps
    overlaid = matplotlib.image.imread(out / "a.png")
    assert overlaid.shape[1] == pytest.approx(plain.shape[1] * 100 / 150, abs=2)


def test_several_labels_are_rows_and_a_difference(folder, tmp_path, monkeypatch):
    drawn = []
    grid = plots.explanation_grid
    monkeypatch.setattr(
        plots,
        "explanation_grid",
        lambda *a, **k: (drawn.append((a, k)), grid(*a, **k))[1],
    )
    out = tmp_path / "out"
    given = ("--label", "espresso", "--label", "tiger cat", "--no-curves")
    assert explain(folder / "a.png", out, *given) == 0
    one, two = (load_explanation(out / f"a-{i}.saliency.npz") for i in (2, 1))
    assert (one.label_name, two.label_name) == ("espresso", "tiger cat")
    assert np.abs(one.map - two.map).max() > 0
    (((_, maps), options),) = drawn
    for shown, expected in zip(
        maps["Saliency"], (one.map, two.map, one.map - two.map), strict=True
    ):
        np.testing.assert_array_equal(shown, expected)
    assert options["captions"][2] == "espresso less tiger cat"
    # Alone, the same map under the plain name, beside those.
    assert explain(folder / "a.png", out, "--label", "1", "--no-curves") == 0
    np.testing.assert_array_equal(load_explanation(out / "a.saliency.npz").map, two.map)


@pytest.mark.slow
def test_the_record_of_a_run_is_the_same_for_equal_runs(folder, tmp_path):
    out, texts = tmp_path / "out", []
    for _ in range(2):
        assert explain(folder, out, "--no-curves", "--method", "smoothgrad") == 0
        texts.append((out / "run.json").read_bytes())
    assert texts[0] == texts[1]
    record = json.loads(texts[0])
    assert record["command"] == record["arguments"][0] == "explain"
    assert record["methods"] == ["saliency", "smoothgrad"]
    assert record["photographs"] == [str(folder / "a.png"), str(folder / "b.png")]
    assert record["versions"]["jaxattr"] == ja.__version__
    assert set(record["versions"]) == {"jaxattr", "jax", "numpy", "python"}
    # And the report of it.
    assert cli.main(["report", str(out)]) == 0
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes())
    record["photographs"].append("c.png")
    (out / "run.json").write_text(json.dumps(record))
    assert cli.main(["report", str(out)]) == 1


def test_model_options_reach_the_model(folder, tmp_path, asked):
    given = (
        "--model",
        "tiny=w.npz",
        "--preprocessing",
        "squash",
        "--dtype",
        "bfloat16",
    )
    assert explain(folder, tmp_path / "out", *given, "--no-curves", "--quiet") == 0
    ((name, weights, options),) = asked
    assert (name, weights) == ("tiny", "w.npz")
    assert options == {"preprocessing": "squash", "dtype": np.dtype("bfloat16")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "png,jpg"], "format: unknown 'jpg'"),
        (["--format", "pngg"], "did you mean png?"),
        (["--colormap", "Viridis"], "did you mean viridis"),
        (["--dpi", "5000"], "a whole number from 30 to 1200"),
        (["--device", "gpu:7"], "no device 'gpu:7'; there are: cpu"),
        (["--device", "cpu:99"], "no device 'cpu:99'"),
        (["--devices", "4"], "unrecognized arguments: --devices 4"),
        (["--dtype", "int8"], "invalid choice: 'int8'"),
        (["--preprocessing", "zoom"], "invalid choice: 'zoom'"),
        (["--method", "ig"], "did you mean integrated_gradients?"),
        (["--method", "gradcam"], "did you mean grad_cam?"),
        (["--method", "boundary"], "'boundary' is called bsm or big or bsg here"),
        (["--option", "agi.num_steps=3"], "agi is not asked for; asked for: saliency"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    folder, tmp_path, arguments, message, capsys
):
    try:
        code = explain(folder, tmp_path / "out", *arguments)
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert message in one_error_line(capsys)
    assert not (tmp_path / "out").exists()


FROM_REFERENCES = (
    *("--method", "expected_gradients", "--references", "references"),
    *("--option", "expected_gradients.num_samples=1"),
)
COMMANDS = {
    "explain": (*FROM_REFERENCES, "--no-curves"),
    "boundary": ("--search", "ddn", "--steps", "1"),
    "evaluate": (*FROM_REFERENCES, "--curve-steps", "2"),
    "spectrum": ("--bands", "2"),
    "robustness": ("--attack", "random_sign", "--epsilon", "1", "--steps", "1"),
}


@pytest.mark.parametrize("command", quick(COMMANDS, "explain"))
def test_files_that_are_no_photographs_are_named(
    command, folder, tmp_path, capsys, monkeypatch
):
    (folder / "labels.csv").write_text("file,class\na.png,0\nb.png,1\n")
    for name in ("notes.pdf", "._a.png", *(f"x{i}.raw" for i in range(6))):
        (folder / name).touch()
    small_photographs.draw(tmp_path / "references" / "r.png", 2)
    (tmp_path / "references" / "r.raw").touch()
    monkeypatch.chdir(tmp_path)
    given = [command, str(folder), "--out", str(tmp_path / "out"), *COMMANDS[command]]
    has_references = "--references" in given
    assert cli.main([*given, "--quiet", "--json"]) == 0
    captured = capsys.readouterr()
    line, hidden = [x for x in captured.err.splitlines() if "skipped" in x]
    assert line.startswith(f"jaxattr: skipped {folder / 'notes.pdf'}, ")
    more = 3 if has_references else 2
    assert line.endswith(f"x3.raw and {more} more: no photograph by its suffix")
    assert "notes.txt" not in line
    assert hidden == f"jaxattr: skipped {folder / '._a.png'}: hidden"
    found = json.loads(captured.out)
    names = [str(folder / f"x{i}.raw") for i in range(6)]
    names += ["references/r.raw"] * has_references
    assert found["unread"][0] == f"{folder / 'notes.pdf'}: no photograph by its suffix"
    assert set(found["unread"][1:]) == {
        f"{folder / '._a.png'}: hidden",
        *(f"{name}: no photograph by its suffix" for name in names),
    }
    assert found["skipped"] == []


def test_a_folder_without_photographs(tmp_path, capsys):
    assert explain(tmp_path, tmp_path / "out") == 2
    assert "no image file in this folder" in one_error_line(capsys)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("vit", "vit_b_16 or vit_b_32 or vit_l_16"),
        ("ResNet50", "resnet50"),
        ("lite0", "efficientnet_lite0"),
        ("rn", None),
    ],
)
def test_names_of_which_a_text_is_a_part_are_suggested(text, near):
    known = ["vit_l_16", "vit_b_16", "vit_b_32", "resnet50", "efficientnet_lite0"]
    hint = f"did you mean {near}? " if near else ""
    with pytest.raises(ValueError) as caught:
        check_choice("model", text, known)
    assert str(caught.value).startswith(f"model: unknown {text!r}; {hint}known: ")


@pytest.mark.slow
def test_vector_figures_keep_their_letters_and_are_the_same_each_time(tmp_path):
    texts = []
    for _ in range(2):
        figure = new_figure((2, 2))
        figure.subplots().set_title("Grad-CAM ε")
        save(figure, tmp_path / "x.y.png", FigureFiles(("pdf", "svg")))
        texts.append(
            [(tmp_path / f"x.y.{kind}").read_bytes() for kind in ("pdf", "svg")]
        )
    assert texts[0] == texts[1]
    pdf, svg = texts[0]
    # TrueType, which journals take, and not Type 3.
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"<text" not in svg
    assert not (tmp_path / "x.y.png").exists()


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_completion_knows_methods_and_models(shell, capsys):
    pytest.importorskip("shtab", reason="needs shtab")
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    words = ["robustness"]
    if shell != "tcsh":  # which gets the commands only
        words += ["curve-steps", "attexplore_pp", "efficientnet_lite0"]
    for word in words:
        assert word in script


def test_completion_without_shtab_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 2
    assert "pip install 'jaxattr[app]'" in one_error_line(capsys)


@pytest.mark.parametrize(
    ("program", "variable"),
    [
        (["-m", "jaxattr"], "JAX_ENABLE_X64"),
        # This error names no variable.
        pytest.param(
            *(["jaxattr"], "JAX_COMPILER_DETAILED_LOGGING_MIN_OPS"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_keeps_jax_from_starting_is_one_line(
    program, variable, tmp_path, monkeypatch
):
    script = tmp_path / "jaxattr"  # as pip writes it
    script.write_text("import sys\nfrom jaxattr.cli import main\nsys.exit(main())\n")
    given = [str(script)] if program == ["jaxattr"] else program
    monkeypatch.setenv(variable, "maybe")
    done = subprocess.run(
        [sys.executable, *given, "methods"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("jaxattr: error: JAX does not start: ")
    assert f"{variable}=maybe" in line


def test_what_keeps_jax_from_starting_is_an_error_of_other_programs(monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "maybe")
    done = subprocess.run(
        [sys.executable, "-c", "import jaxattr"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ValueError: invalid truth value")


@pytest.mark.slow
def test_python_m_jaxattr():
    done = subprocess.run(
        [sys.executable, "-m", "jaxattr", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"jaxattr {ja.__version__}"
