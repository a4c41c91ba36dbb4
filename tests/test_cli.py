"""The command line as a new user meets it; one run with the real model."""

import io
import sys

import jax
import numpy as np
import pytest
import tiny_classifier
from PIL import Image
from quick import quick

import jaxattr as ja
from jaxattr import cli
from jaxattr.commands import demo as demo_command
from jaxattr.evaluation.explain import demo
from jaxattr.evaluation.explain.explanations import load_explanation
from jaxattr.evaluation.runs import files


@pytest.fixture
def tiny(monkeypatch):
    """``jaxattr.models.load`` gives the tiny classifier, whatever is asked for."""
    asked = []

    def load(name, weights=None, **options):
        asked.append((name, weights, options))
        return tiny_classifier.tiny_classifier()

    monkeypatch.setattr(ja.models, "load", load)
    return asked


@pytest.fixture
def photograph(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    return str(tmp_path / "cat.png")


def explain(*arguments, out):
    return cli.main(["explain", *map(str, arguments), "--out", str(out)])


def one_error_line(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("jaxattr: error: ")
    return line


def test_explain(tiny, photograph, tmp_path, capsys):
    out = tmp_path / "out"
    code = explain(
        *(photograph, "--method", "saliency", "--method", "smoothgrad"),
        *("--option", "smoothgrad.num_samples=3", "--option", "saliency.absolute=true"),
        *("--label", "espresso", "--seed", "5", "--batch-size", "4"),
        *("--curve-steps", "4"),
        out=out,
    )
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "cat.curves.png",
        "cat.png",
        "cat.saliency.npz",
        "cat.smoothgrad.npz",
        "parts",
        "run.json",
    ]
    saved = load_explanation(out / "cat.smoothgrad.npz")
    assert saved.options["num_samples"] == 3
    assert saved.label_name == "espresso"
    assert saved.batch_size == 4
    assert saved.insertion.shape == (5,)
    assert load_explanation(out / "cat.saliency.npz").map.min() >= 0
    captured = capsys.readouterr()
    header, first, second, *_ = captured.out.splitlines()
    assert header.split() == [
        *("photograph", "class", "probability", "method"),
        *("insertion", "deletion", "seconds"),
    ]
    assert first.split()[:2] == ["cat.png", "espresso"]
    assert "smoothgrad" in second
    assert len(captured.err.splitlines()) == 2  # no terminal: one line an item


@pytest.mark.slow
def test_methods_of_a_model_that_is_only_called(tiny, photograph, tmp_path):
    code = explain(
        *(photograph, "--methods", "occlusion,kernel_shap", "--curve-steps", "0"),
        *("--option", "kernel_shap.segments=2,3"),
        *("--option", "kernel_shap.num_samples=20"),
        *("--option", "occlusion.window=8", "--option", "occlusion.stride=8"),
        out=tmp_path / "out",
    )
    assert code == 0
    saved = load_explanation(tmp_path / "out" / "cat.kernel_shap.npz")
    assert saved.options["segments"] == [2, 3]
    # Six values, each the same all over its segment.
    ids = ja.segments.grid(*saved.map.shape[:2], 2, 3)
    for segment in range(6):
        assert np.ptp(saved.map[ids == segment]) < 1e-6
    assert (tmp_path / "out" / "cat.occlusion.npz").exists()


def test_default_method_model_and_label(tiny, photograph, tmp_path):
    assert explain(photograph, "--curve-steps", "0", out=tmp_path / "out") == 0
    assert tiny == [("efficientnet_lite0", None, {})]
    saved = load_explanation(tmp_path / "out" / "cat.integrated_gradients.npz")
    assert saved.label == saved.probabilities.argmax()


def test_random_weights_come_from_the_seed(tiny, photograph, tmp_path):
    arguments = ("--weights", "random", "--seed", "3", "--curve-steps", "0")
    assert explain(photograph, *arguments, out=tmp_path / "out") == 0
    ((_, weights, options),) = tiny
    assert weights == "random"
    assert options == {"key": jax.random.key(3)}
    saved = load_explanation(tmp_path / "out" / "cat.integrated_gradients.npz")
    assert saved.weights == "random"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "salency"], "did you mean saliency"),
        (["--methods", "saliency,,rise"], "expected names with commas between them"),
        (
            ["--method", "rise", "--option", "rise.grid=999"],
            "rise: grid: expected at most the image's",
        ),
        (
            ["--method", "lime", "--option", "lime.segments=2,x"],
            "lime.segments: expected whole numbers, got 'x'",
        ),
        (["--label", "tigr cat"], "did you mean tiger cat (1)"),
        (["--label", "crane"], "say 0 or 3"),
        (["--label", "4"], "expected 0 to 3, got 4"),
        (["--label", "-1"], "expected 0 to 3, got -1"),
        (["--seed", "-1"], "whole number from 0"),
        (["--seed", "x"], "whole number"),
        (["--batch-size", "0"], "at least 1"),
        (["--curve-steps", "-3"], "at least 0"),
        (["--option", "num_steps=3"], "expected METHOD.NAME=VALUE"),
        (["--option", "saliency.absolute"], "expected METHOD.NAME=VALUE"),
        (
            ["--option", "saliency.absolute=true"],
            "saliency is not asked for; asked for: integrated",
        ),
        (
            ["--option", "integrated_gradients.num_step=3"],
            "did you mean num_steps",
        ),
        (["--option", "integrated_gradients.num_steps=x"], "a whole number, got 'x'"),
        (["--option", "integrated_gradients.num_steps=0"], "at least 1"),
        (["--option", "integrated_gradients.baseline=1/0"], "a number, got '1/0'"),
        (["--option", "integrated_gradients.rule=midpint"], "did you mean midpoint"),
        (["--option", "integrated_gradients.score=logits"], "did you mean logit"),
        (["--option", "integrated_gradients.multiply_by_delta=2"], "true or false"),
        (["--method", "expected_gradients"], "needs references"),
        (
            ["--method", "expected_gradients", "--references", "no-such-folder"],
            "expected a folder",
        ),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_bad_input_is_one_line(tiny, photograph, tmp_path, capsys, arguments, message):
    try:
        code = explain(photograph, *arguments, out=tmp_path / "out")
    except SystemExit as exit:
        code = exit.code
    assert code == 2
    assert message in one_error_line(capsys)
    assert not (tmp_path / "out").exists()


def test_unknown_model(photograph, tmp_path, capsys):
    assert (
        explain(photograph, "--model", "eficientnet_lite0", out=tmp_path / "out") == 2
    )
    assert "efficientnet_lite0" in one_error_line(capsys)


def test_a_program_that_is_not_there_is_named_as_it_was_asked_for(
    photograph, tmp_path, capsys
):
    out = tmp_path / "out"
    assert explain(photograph, "--model", "nothere.jaxexport", out=out) == 2
    assert "--model nothere.jaxexport: no such file" in one_error_line(capsys)
    assert not out.exists()


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint"])
def test_bad_checkpoint(photograph, tmp_path, capsys, content):
    weights = tmp_path / "weights.pth"
    if content is not None:
        weights.write_bytes(content)
    assert explain(photograph, "--weights", weights, out=tmp_path / "out") == 2
    assert "weights.pth" in one_error_line(capsys)


def test_missing_photograph(tiny, tmp_path, capsys):
    assert explain(tmp_path / "dog.jpg", out=tmp_path / "out") == 2
    assert "dog.jpg: no such file" in one_error_line(capsys)


def test_one_broken_of_two(tiny, photograph, tmp_path, capsys):
    broken = tmp_path / "dog.jpg"
    broken.write_bytes(b"no image")
    out = tmp_path / "out"
    assert explain(broken, photograph, "--curve-steps", "0", out=out) == 1
    assert (out / "cat.integrated_gradients.npz").exists()
    assert "dog.jpg: not an image" in capsys.readouterr().err.splitlines()[-1]


def test_out_cannot_be_made(tiny, photograph, tmp_path, capsys):
    assert explain(photograph, out=photograph + "/out") == 2
    assert "cat.png" in one_error_line(capsys)


def test_full_disk(tiny, photograph, tmp_path, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    assert explain(photograph, out=tmp_path / "out") == 2
    assert "No space left on device" in one_error_line(capsys)


def test_interrupt(tiny, photograph, tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(ja.models, "load", interrupted)
    assert explain(photograph, out=tmp_path / "out") == 130
    assert "interrupted" in one_error_line(capsys)


def test_progress_on_a_terminal_is_a_bar(tiny, photograph, tmp_path, monkeypatch):
    pytest.importorskip("tqdm", reason="needs tqdm")
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert explain(photograph, "--curve-steps", "0", out=tmp_path / "out") == 0
    text = terminal.getvalue()
    assert "\n" not in text
    assert "0/1" in text
    assert "1/1" in text
    assert text.rstrip(" ").endswith("\r")


@pytest.mark.parametrize("command", [[], *([c] for c in ("demo", "explain", "models"))])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([*command, "--help"])
    assert caught.value.code == 0
    assert "usage: jaxattr" in capsys.readouterr().out


def test_without_a_command(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
    one_error_line(capsys)


def test_models(capsys):
    assert cli.main(["models"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "source", "top-1", "%", "MB", "weights"]
    rows = [line.split() for line in lines]
    assert list(dict.fromkeys(row[0] for row in rows)) == list(ja.models.names())
    found = {(name, source): rest for name, source, *rest in rows}
    assert len(found) == len(rows), "a line for each set of weights"
    expected = ["76.13", "102", "hub", "timm/resnet50.tv_in1k"]
    assert found["resnet50", "torchvision"] == expected
    assert found["squeezenet1_0", "torchvision"] == ["58.09", "5", "a", "file"]
    expected = ["70.8", "a", "file,", "padding='tf_same'"]
    assert found["mobilenet_v2", "tensorflow"] == expected


def test_models_fetch_of_what_is_not_on_the_hub(capsys):
    assert cli.main(["models", "fetch", "squeezenet1_0"]) == 2
    line = one_error_line(capsys)
    assert "squeezenet1_0 has no weights on the hub; get a file" in line
    assert "--weights PATH" in line
    assert cli.main(["models", "fetch", "efficientnet_lite0"]) == 2
    assert "hub; they are in the package efficientnet" in one_error_line(capsys)
    assert cli.main(["models", "fetch", "squeezenet"]) == 2
    assert "did you mean squeezenet1_0 or squeezenet1_1" in one_error_line(capsys)


def test_methods_lists_options_that_can_be_given_back(tiny, photograph, capsys):
    assert cli.main(["methods"]) == 0
    text = capsys.readouterr().out
    assert "smoothgrad\n  num_samples=50\n  stddev=0.15\n  score=logit\n" in text
    assert "references" not in text


@pytest.mark.parametrize("networks", quick([1, 2], 1))
def test_demo_with_a_tiny_classifier(tiny, tmp_path, capsys, monkeypatch, networks):
    monkeypatch.setattr(demo, "METHODS", {"saliency": {}, "guided_ig": {}})
    monkeypatch.setattr(demo, "CURVE_STEPS", 2)
    monkeypatch.setattr(ja.models, "installed", lambda name: False)
    out = tmp_path / "demo"
    assert cli.main(["demo", "--out", str(out)]) == 0
    names = {path.name for path in out.iterdir()}
    assert {"explanations.png", "curves.png", "rocket.guided_ig.npz"} <= names
    text = capsys.readouterr().out
    for word in ("chelsea", "coffee", "rocket", "insertion", str(out), "--no-deps"):
        assert word in text
    assert "networks.png" not in names
    assert demo_command.run_demo is demo.run_demo
    if networks == 1:
        return
    # With a second network what the first has made is there already.
    monkeypatch.setattr(ja.models, "installed", lambda name: name == "mobilenet_v2")
    assert cli.main(["demo", "--out", str(out)]) == 0
    assert [name for name, *_ in tiny] == ["efficientnet_lite0"] * 2 + ["mobilenet_v2"]
    assert (out / "mobilenet_v2" / "chelsea.guided_ig.npz").is_file()
    assert (out / "networks.png").stat().st_size > 5000
    assert "networks.png" in capsys.readouterr().out


@pytest.mark.slow
def test_real_model_on_a_real_photograph(tmp_path, capsys):
    from skimage import data

    Image.fromarray(data.coffee()).save(tmp_path / "coffee.jpg", quality=95)
    out = tmp_path / "out"
    code = explain(
        *(tmp_path / "coffee.jpg", "--method", "saliency", "--curve-steps", "0"),
        out=out,
    )
    assert code == 0
    saved = load_explanation(out / "coffee.saliency.npz")
    assert saved.label_name == "espresso"
    assert saved.probability == pytest.approx(0.95, abs=0.04)
    assert saved.map.shape == (224, 224, 3)
    assert "espresso" in capsys.readouterr().out


def test_no_device_is_one_line(tiny, photograph, tmp_path, capsys, monkeypatch):
    def no_device(*arguments, **options):
        raise RuntimeError("Unable to initialize backend 'cuda':\n no GPU")

    monkeypatch.setattr(ja.models, "load", no_device)
    # Another failure at run time, with a device there, is no bad input.
    with pytest.raises(RuntimeError):
        explain(photograph, out=tmp_path / "out")
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr(jax, "devices", no_device)
    assert explain(photograph, out=tmp_path / "out") == 2
    assert "no device (JAX_PLATFORMS=cuda): Unable to init" in one_error_line(capsys)
