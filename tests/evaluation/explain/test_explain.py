"""From files to files with a tiny classifier; the real one is in test_cli."""

import dataclasses
import errno
import functools
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_classifier
from PIL import Image
from tiny_classifier import LABELS, SIZE

import jaxattr as ja
from jaxattr import cli
from jaxattr.evaluation.explain import shared_search
from jaxattr.evaluation.explain.explain import explain_photographs
from jaxattr.evaluation.explain.explanations import load_explanation
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.runs import files, programs

METHODS = {"saliency": {}, "smoothgrad": {"num_samples": 3}}


@pytest.fixture
def model():
    return tiny_classifier.tiny_classifier()


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.png"):
        pixels = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return sorted(folder.iterdir())


def run(photographs, model, out, methods=METHODS, **options):
    options = {"draw": False, "curve_steps": 0} | options
    return explain_photographs(photographs, model, methods, out=out, **options)


def test_files_hold_what_is_needed_to_make_the_map_again(photographs, model, tmp_path):
    report = run(photographs[:1], model, tmp_path / "out", seed=7, curve_steps=4)
    assert [row.file.name for row in report.rows] == [
        "a.saliency.npz",
        "a.smoothgrad.npz",
    ]
    with np.load(report.rows[1].file) as archive:
        options = json.loads(str(archive["options"]))
        assert options == {"num_samples": 3, "stddev": 0.15, "score": "logit"}
        key = jax.random.wrap_key_data(jnp.asarray(archive["key_data"]))
        assert key == jax.random.key(7)
        image, label = archive["image"][None], int(archive["label"])
        again = ja.smoothgrad(
            model, jnp.asarray(image), jnp.array([label]), key=key, num_samples=3
        )
        np.testing.assert_allclose(archive["map"], again[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(archive["probabilities"].sum(), 1, rtol=1e-5)
        assert label == archive["probabilities"].argmax()
        assert str(archive["version"]) == ja.__version__
        assert str(archive["model"]) == "tiny"
        assert str(archive["method"]) == "smoothgrad"
        assert str(archive["label_name"]) == LABELS[label]


def test_image_is_what_the_model_saw(photographs, model, tmp_path):
    report = run(photographs[:1], model, tmp_path / "out")
    expected = model.preprocess(Image.open(photographs[0]))
    np.testing.assert_array_equal(load_explanation(report.rows[0].file).image, expected)


def test_curves_and_their_areas(photographs, model, tmp_path):
    report = run(photographs[:1], model, tmp_path / "out", curve_steps=8)
    row = report.rows[0]
    explanation = load_explanation(row.file)
    expected = ja.insertion_curve(
        model,
        explanation.image[None],
        explanation.map[None],
        labels=jnp.array([explanation.label]),
        num_steps=8,
    )
    np.testing.assert_allclose(explanation.insertion, expected[0], rtol=1e-4)
    assert row.insertion == pytest.approx(float(ja.area_under_curve(expected)[0]))
    assert explanation.deletion[0] == pytest.approx(explanation.probability, rel=1e-5)


def test_no_curves(photographs, model, tmp_path):
    report = run(photographs[:1], model, tmp_path / "out")
    assert load_explanation(report.rows[0].file).insertion.size == 0
    assert "insertion" not in report.table()[0]


def test_given_label_is_explained(photographs, model, tmp_path):
    for label, index in [("Tiger_Cat", 1), ("3", 3)]:
        report = run(photographs[:1], model, tmp_path / "out", label=label)
        explanation = load_explanation(report.rows[0].file)
        assert explanation.label == index
        expected = ja.saliency(model, explanation.image[None], jnp.array([index]))[0]
        np.testing.assert_allclose(explanation.map, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("4", "expected 0 to 3, got 4"),
        ("-1", "expected 0 to 3, got -1"),
        ("crane", "2 classes are called 'crane', say 0 or 3"),
        ("tigr cat", r"did you mean tiger cat \(1\)"),
        ("cat", r"did you mean tiger cat \(1\)"),
        ("zzz", "no class is called 'zzz'$"),
    ],
)
def test_bad_label(photographs, model, tmp_path, label, message):
    with pytest.raises(ValueError, match=message):
        run(photographs, model, tmp_path / "out", label=label)
    assert not (tmp_path / "out").exists()


def test_map_does_not_depend_on_the_other_photographs(photographs, model, tmp_path):
    together = run(photographs, model, tmp_path / "together")
    alone = run(photographs[2:], model, tmp_path / "alone")
    for one, other in zip(together.rows[-2:], alone.rows, strict=True):
        np.testing.assert_array_equal(
            load_explanation(one.file).map, load_explanation(other.file).map
        )


def test_seed_and_only_the_seed_changes_random_maps(photographs, model, tmp_path):
    maps = [
        load_explanation(
            run(photographs[:1], model, tmp_path / "out", seed=seed).rows[1].file
        ).map
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 1e-4


def test_compiled_once_for_all_photographs_and_all_weights(photographs, tmp_path):
    run(photographs[:1], tiny_classifier.tiny_classifier(0), tmp_path / "one")
    tiny_classifier.calls.clear()
    run(photographs, tiny_classifier.tiny_classifier(1), tmp_path / "two")
    assert tiny_classifier.calls == []


def test_broken_photograph_does_not_stop_the_others(photographs, model, tmp_path):
    photographs[1].write_bytes(photographs[1].read_bytes()[:200])
    report = run(photographs, model, tmp_path / "out")
    assert {row.photograph for row in report.rows} == {"a.png", "c.png"}
    (reason,) = report.broken
    assert reason.startswith(str(photographs[1]))


def test_nothing_but_broken_photographs(model, tmp_path):
    with pytest.raises(ValueError, match=r"^.*x\.jpg: no such file"):
        run([tmp_path / "x.jpg"], model, tmp_path / "out")
    with pytest.raises(ValueError, match=r"none of 2 photographs.*x\.jpg: no such"):
        run([tmp_path / "x.jpg", tmp_path / "y.jpg"], model, tmp_path / "out")


def test_same_name_in_two_folders(photographs, model, tmp_path):
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "A.png"
    twin.write_bytes(photographs[1].read_bytes())
    report = run([photographs[0], twin], model, tmp_path / "out", {"saliency": {}})
    assert [row.file.name for row in report.rows] == [
        "a.saliency.npz",
        "A-2.saliency.npz",
    ]


def test_bad_option_value_is_refused_before_any_file(photographs, model, tmp_path):
    methods = {"saliency": {}, "smoothgrad": {"num_samples": 0}}
    with pytest.raises(ValueError, match=r"smoothgrad: num_samples: .*at least 1"):
        run(photographs, model, tmp_path / "out", methods)
    assert not (tmp_path / "out").exists()


def test_unknown_method(photographs, model, tmp_path):
    with pytest.raises(ValueError, match="did you mean smoothgrad"):
        run(photographs, model, tmp_path / "out", {"smoothgrd": {}})


def test_nothing_to_do(photographs, model, tmp_path):
    for paths, methods in [([], METHODS), (photographs, {})]:
        with pytest.raises(ValueError, match="at least one photograph and one method"):
            run(paths, model, tmp_path / "out", methods)


@pytest.mark.slow
def test_references(photographs, model, tmp_path):
    methods = {"expected_gradients": {"num_samples": 4}}
    with pytest.raises(ValueError, match="expected_gradients: needs references"):
        run(photographs, model, tmp_path / "out", methods)
    report = run(
        photographs[:1],
        model,
        tmp_path / "out",
        methods,
        references=photographs[0].parent,
    )
    explanation = load_explanation(report.rows[0].file)
    assert explanation.options == {"num_samples": 4, "score": "logit"}
    images = [model.preprocess(Image.open(path)) for path in photographs]
    expected = ja.expected_gradients(
        model,
        explanation.image[None],
        jnp.array([explanation.label]),
        key=jax.random.key(0),
        references=jnp.stack(images),
        num_samples=4,
    )
    np.testing.assert_allclose(explanation.map, expected[0], rtol=1e-3, atol=1e-5)


def test_array_options_are_arguments_of_the_program(photographs, model, tmp_path):
    grey = jnp.full((SIZE, SIZE, 3), 0.5)
    methods = {"integrated_gradients": {"baseline": grey, "num_steps": 2}}
    report = run(photographs[:1], model, tmp_path / "out", methods)
    assert len(report.rows) == 1


@pytest.mark.slow
def test_figures_are_written(photographs, model, tmp_path):
    report = run(photographs[:1], model, tmp_path / "out", draw=True, curve_steps=2)
    assert [path.name for path in report.figures] == ["a.png", "a.curves.png"]
    for path in report.figures:
        with Image.open(path) as image:
            assert min(image.size) > 200
    names = {path.name for path in (tmp_path / "out").iterdir()}
    results = {"a.png", "a.curves.png", "a.saliency.npz", "a.smoothgrad.npz"}
    assert names == {*results, "parts"}


def contents(folder):
    """Files of results: all but the records of what they were made from."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.mark.slow
def test_full_disk_leaves_nothing_half_written(
    photographs, model, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    run(photographs[:1], model, out)
    before = contents(out)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        run(photographs[:1], model, out, seed=1)
    assert caught.value.filename == str(out / "a.saliency.npz")
    assert contents(out) == before


BOUNDARY = {
    "bsm": {"search": "ddn"},
    "big": {"search": "ddn", "num_steps": 2},
    "bsg": {"search": "ddn", "num_samples": 2},
}


@pytest.mark.slow
def test_methods_at_a_boundary_point_share_its_search(
    photographs, model, tmp_path, monkeypatch
):
    """One search for what asks for the same; the maps are those of the methods."""
    searched, timed = [], programs.timed

    def recording(program, *given, **static):
        if program is shared_search._found:
            searched.append(static["search"])
        return timed(program, *given, **static)

    monkeypatch.setattr(programs, "timed", recording)
    methods = {
        "saliency": ("saliency", {}),
        # The default number of bisections, named.
        "bsm": ("bsm", {"search": ja.BoundarySearch("ddn", num_bisections=20)}),
        "bsg": ("bsg", {"search": ["ddn"], "num_samples": 2}),
        "big": ("big", {"search": "fab", "num_steps": 2}),
    }
    report = run(photographs[:1], model, tmp_path / "out", methods)
    assert searched == [ja.BoundarySearch("ddn"), ja.BoundarySearch("fab")]
    assert not report.not_found
    for row in report.rows:
        explanation = load_explanation(row.file)
        name, options = methods[row.method]
        key = {} if name == "saliency" else {"key": jax.random.key(0)}
        explain = jax.jit(functools.partial(getattr(ja, name), model, **options, **key))
        expected = explain(explanation.image[None], jnp.array([explanation.label]))
        np.testing.assert_allclose(explanation.map, expected[0], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_every_registered_method_runs_from_files(photographs, model, tmp_path):
    quick = {
        "smoothgrad": {"num_samples": 2},
        "integrated_gradients": {"num_steps": 2},
        "expected_gradients": {"num_samples": 2},
        "guided_ig": {"num_steps": 2},
        "attexplore": {"num_steps": 2, "num_samples": 2},
        "attexplore_pp": {"num_steps": 2, "attack": "mi_fgsm"},
        "fampe": {"num_steps": 2, "num_samples": 2},
        "agi": {"num_targets": 2, "num_steps": 2},
        "mfaba": {"num_steps": 2},
        **BOUNDARY,
    }
    methods = {
        name: quick.get(name, {})
        for name, method in registry.methods().items()
        if not method.needs_attention
    }
    report = run(
        photographs[:1],
        model,
        tmp_path / "out",
        methods,
        references=photographs[0].parent,
    )
    for row in report.rows:
        values = load_explanation(row.file).map
        assert values.shape == (SIZE, SIZE, 3)
        assert np.isfinite(values).all()
        assert np.abs(values).max() > 0


@pytest.mark.slow
def test_a_model_of_one_class_is_warned_of(photographs, tmp_path, capsys, monkeypatch):
    flat = dataclasses.replace(
        tiny_classifier.tiny_classifier(), weights=jnp.zeros((48, 4))
    )
    monkeypatch.setattr(ja.models, "load", lambda *_, **__: flat)
    photograph = str(photographs[0])
    methods = ["--method", "bsm", "--method", "big", "--method", "bsg"]
    less = ["--option", "bsg.num_samples=2", "--curve-steps", "0"]
    out = tmp_path / "o"
    arguments = ["explain", photograph, *methods, *less, "--out", str(out)]
    assert cli.main(arguments) == 0
    warnings = [
        line for line in capsys.readouterr().err.splitlines() if "warning" in line
    ]
    assert warnings == [
        f"jaxattr: warning: {photograph}: no boundary found; "
        "its maps are NaN (bsm, big, bsg)"
    ]
    with np.load(out / "a.bsg.npz") as saved:
        assert np.isnan(saved["map"]).all()
        # As quick as `jaxattr boundary`, and on record.
        assert json.loads(str(saved["options"]))["search"] == "deepfool,ddn,fab"


@pytest.mark.slow
def test_finished_photographs_are_not_computed_again(photographs, model, tmp_path):
    out = tmp_path / "out"
    programs_run = []
    timed = programs.timed

    def counting(program, *given, **static):
        programs_run.append(static["explain"].__name__)
        return timed(program, *given, **static)

    def made(paths=photographs[:2], model=model, methods=METHODS, **options):
        programs_run.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(programs, "timed", counting)
            report = run(paths, model, out, methods, draw=True, **options)
        return report, list(programs_run)

    first, programs_of_first = made()
    assert programs_of_first == ["saliency", "smoothgrad"] * 2
    before = contents(out)
    again, none = made()
    assert none == []
    assert repr(again) == repr(first), "seconds, too, are those of then"
    assert contents(out) == before
    # What differs is made anew, and nothing else.
    assert made([*photographs])[1] == ["saliency", "smoothgrad"]
    fewer = {"smoothgrad": {"num_samples": 2}}
    assert made(methods=METHODS | fewer)[1] == ["smoothgrad"] * 2
    assert made(seed=1)[1] == ["saliency", "smoothgrad"] * 2
    assert made(model=tiny_classifier.tiny_classifier(5))[1] == programs_of_first
    assert made(label="espresso")[1] == programs_of_first
    # Whatever was between, these words give these files.
    assert made()[1] == programs_of_first
    assert contents(out).items() >= before.items()
    Image.open(photographs[1]).save(photographs[0])
    assert made()[1] == ["saliency", "smoothgrad"]
    (out / "b.saliency.npz").write_bytes(b"damaged")
    assert made()[1] == ["saliency"]
    (out / "b.png").unlink()
    assert made()[1] == []
    assert (out / "b.png").read_bytes() == before["b.png"]
