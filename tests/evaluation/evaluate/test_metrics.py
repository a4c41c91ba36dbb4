"""What a metric is: its protocol, what is better, its options, its explainer."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_classifier

import jaxattr as ja
from jaxattr import cli
from jaxattr.evaluation import Curve, Metric, evaluate
from jaxattr.evaluation.evaluate import metrics

KEY = jax.random.key(0)
EXPECTED = {
    "insertion": ("higher", "channel_sum, 224 steps, substrate 0, given class"),
    "deletion": ("lower", "channel_sum, 224 steps, substrate 0, given class"),
    "infidelity": ("lower", "normalised, 100 samples, stddev 0.2"),
    "max_sensitivity": ("lower", "radius 0.02, 10 samples"),
    "road": (
        "lower",
        "channel_sum, 224 steps, linear imputation, noise 0.01, given class",
    ),
    "sensitivity_n": ("higher", "a tenth of the pixels, 100 samples, substrate 0"),
    "mu_fidelity": (
        "higher",
        "0.2 of a grid of 9, 200 samples, spearman, substrate 0",
    ),
    "irof": ("higher", "8 x 8 squares, mean colour"),
    "sparseness": ("higher", "Gini index of the sizes of pixels"),
    "complexity": ("lower", "entropy of the sizes of pixels, in nats"),
    "stability": (
        "higher",
        "mean of SSIM, Spearman and Jaccard, class held, stddev 0.02, 10 samples",
    ),
}


def test_every_metric_says_what_is_better_and_by_which_protocol():
    found = {n: (m.better, m.protocol) for n, m in metrics.METRICS.items()}
    assert found == EXPECTED
    assert all(m.name == name for name, m in metrics.METRICS.items())


def test_protocols_follow_the_defaults():
    def measure(a, *, num_samples=7, stddev=0.5):
        pass

    text = "{num_samples} samples, stddev {stddev:g}"
    assert metrics.described(measure, text) == "7 samples, stddev 0.5"
    bound = functools.partial(measure, num_samples=9)
    assert metrics.described(bound, text) == "9 samples, stddev 0.5"
    # Those of the curves are given, not hoped for.
    curve = inspect.signature(ja.insertion_curve).parameters
    for name in ("order", "num_steps", "substrate"):
        assert getattr(Curve(), name) == curve[name].default


def test_options_reach_the_metrics_that_have_them():
    both = metrics.as_metrics(["insertion", "infidelity"])
    curve, other = metrics.with_options(both, {"num_steps": 8, "order": "joint"})
    assert curve == Curve("insertion", "joint", 8)
    assert other is both[1]
    with pytest.raises(ValueError, match="infidelity has no option num_steps"):
        other.with_options(num_steps=8)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--order", "joint"), ("--curve-steps", "8"), ("--scored", "predicted")],
)
def test_an_option_that_reaches_nothing_is_refused(
    tiny_zoo, labelled, tmp_path, capsys, option, value
):
    out = tmp_path / "out"
    arguments = ["evaluate", str(labelled), "--model", "tiny", "--out", str(out)]
    assert cli.main([*arguments, "--metric", "infidelity", option, value]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"jaxattr: error: {option}: not an option of infidelity"
    assert not out.exists()


def test_which_class_is_scored_and_explained_agree(labelled, tmp_path, capsys):
    arguments = ["evaluate", str(labelled), "--out", str(tmp_path / "out")]
    both = ["--explained", "predicted", "--scored", "given"]
    assert cli.main([*arguments, *both]) == 2
    assert "--scored: curves follow the class explained" in capsys.readouterr().err


@pytest.mark.slow
def test_a_metric_that_explains_other_images():
    """``max_sensitivity`` of the very explainer that made the maps."""
    model = tiny_classifier.tiny_classifier()
    images = jax.random.uniform(KEY, (3, 16, 16, 3))
    labels = jnp.arange(3)
    asked = {"smooth": ("smoothgrad", {"num_samples": 2, "stddev": 0.3})}
    found = evaluate(
        *(model, asked, "max_sensitivity", images, labels),
        key=KEY,
        batch_size=2,
    )
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(3))

    @jax.jit
    def expected(images, labels, keys):
        explain = functools.partial(
            ja.smoothgrad, model, labels=labels, key=keys, num_samples=2, stddev=0.3
        )
        own = jax.vmap(jax.random.fold_in, (0, None))(keys, 1 << 20)
        return ja.max_sensitivity(explain, images, key=own)

    scores = found.scores("tiny", "smooth")
    np.testing.assert_allclose(scores, expected(images, labels, keys), rtol=1e-4)
    assert scores.min() > 0
    header, rows = found.summary()
    assert dict(zip(header, rows[0]))["better"] == "lower"


@pytest.mark.slow
def test_scores_are_those_of_the_functions():
    """Of every metric that has a name, with the keys of the images and few steps."""
    model = tiny_classifier.tiny_classifier()
    images = jax.random.uniform(KEY, (2, 16, 16, 3))
    labels = jnp.arange(2)
    names = ("sensitivity_n", "mu_fidelity", "irof", "sparseness", "complexity")
    asked = [*names, Curve("road", num_steps=3)]
    found = evaluate(model, "saliency", asked, images, labels, key=KEY)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(2))

    @jax.jit
    def expected(images, labels, keys):
        own = jax.vmap(jax.random.fold_in, (0, None))(keys, 1 << 20)
        maps = ja.saliency(model, images, labels)
        drawn = {"labels": labels, "key": own}
        row = jnp.arange(16) * 8 // 16
        squares = jnp.broadcast_to((row[:, None] * 8 + row[None])[None], (2, 16, 16))
        curve = ja.road_curve(model, images, maps, num_steps=3, **drawn)
        sizes = ja.pixel_magnitudes(maps)
        return {
            "sensitivity_n": ja.sensitivity_n(model, images, maps, n=25, **drawn),
            "mu_fidelity": ja.mu_fidelity(model, images, maps, **drawn),
            "irof": ja.irof(
                *(model, images, maps),
                labels=labels,
                segments=squares,
                num_segments=64,
            ),
            "sparseness": ja.sparseness(sizes),
            "complexity": ja.complexity(sizes),
            "road": ja.area_under_curve(curve),
        }

    values = expected(images, labels, keys)
    for i, name in enumerate([*names, "road"]):
        scores = found.scores("tiny", "saliency", i)
        np.testing.assert_allclose(
            scores, values[name], rtol=1e-3, atol=1e-5, err_msg=name
        )


def test_what_imputes_has_no_substrate():
    assert "substrate" not in Curve("road").options
    with pytest.raises(ValueError, match="substrate: not an option of road"):
        metrics.as_metrics(Curve("road", substrate=0.5))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (ja.max_sensitivity, "max_sensitivity: expected a function .*, got one that"),
        ({"mine": lambda images: images}, "mine: expected a function .logits_fn, im"),
        (Metric("mine", lambda *a, **k: a, better="up"), "better: unknown 'up'"),
        ([3], "metrics: expected names, Curve, Metric or functions"),
        ({"mine": 3}, "metrics: mine: expected a function"),
    ],
)
def test_what_is_no_metric_is_refused(metric, message):
    with pytest.raises(ValueError, match=message):
        metrics.as_metrics(metric)
