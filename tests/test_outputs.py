"""What is no classifier as logits: by hand, and the page that shows it."""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja
from jaxattr import scores

PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "any-scalar.md"
IMAGES = toys.images()
places = lambda x: jnp.concatenate([x, x**2], -1)[:, :, :, 1:5]


@pytest.mark.slow
def test_the_page_runs(capsys):
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 8
    found = {"__name__": "page"}
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        exec("\n".join(blocks), found)
    years, *shapes = capsys.readouterr().out.splitlines()
    age, images = found["age"], found["images"]
    expected = age(images) - age(0 * images)
    sums = np.array(years.strip("[]").split(), float)
    np.testing.assert_allclose(sums, expected, rtol=0.02)
    assert shapes == ["(2, 16, 16, 3)", "(2, 16, 16, 3)", "(1, 16, 16, 3)"]


def test_a_region_is_a_weighted_mean_and_a_pixel_one_value():
    values = np.asarray(places(IMAGES), np.float64)
    mask = np.zeros((6, 5), bool)
    mask[1:4, 2:] = True
    found = scores.region(places, mask)(IMAGES)
    np.testing.assert_allclose(found, values[:, mask].mean(1), rtol=1e-5)
    weights = np.arange(30.0).reshape(6, 5)
    expected = (values * weights[..., None]).sum((1, 2)) / weights.sum()
    found = scores.region(places, weights)(IMAGES)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    found = scores.region(places, (2, 4))(IMAGES)
    np.testing.assert_allclose(found, values[:, 2, 4], rtol=1e-6)
    single = scores.region(lambda x: x[..., 0], (2, 4))(IMAGES)
    np.testing.assert_allclose(single[:, 1], IMAGES[:, 2, 4, 0])
    assert (single[:, 0] == 0).all()


def overlap(a, b):
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    shared = max(sides[0], 0) * max(sides[1], 0)
    area = lambda c: (c[2] - c[0]) * (c[3] - c[1])
    return shared / (area(a) + area(b) - shared)


def test_a_box_takes_the_best_product_of_overlap_and_score():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 6, (3, 7, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 5, (3, 7, 2))], -1)
    values, target = rng.random((3, 7, 4)), (2.0, 1.0, 7.0, 6.0)
    detector = lambda x: (jnp.asarray(boxes), jnp.asarray(values))
    found = scores.box(detector, target)(IMAGES)
    for i in range(3):
        products = [overlap(b, target) * v for b, v in zip(boxes[i], values[i])]
        np.testing.assert_allclose(found[i], np.max(products, 0), rtol=1e-5)
    far = scores.box(detector, (90.0, 90.0, 91.0, 91.0))(IMAGES)
    assert (far == 0).all()


def test_similarity_is_a_cosine():
    embed = lambda x: x.reshape(len(x), -1)[:, :8]
    references = jax.random.normal(jax.random.key(0), (4, 8))
    found = scores.similarity(embed, references, scale=100.0)(IMAGES)
    a, b = (np.asarray(v, np.float64) for v in (embed(IMAGES), references))
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(found, 100 * a @ b.T / lengths, rtol=1e-4)
    one = scores.similarity(embed, references[:1])(IMAGES)
    np.testing.assert_allclose(one[:, 1], found[:, 0] / 100, rtol=1e-5)
    slope = jax.grad(lambda x: scores.similarity(embed, references)(x).sum())(
        0 * IMAGES
    )
    assert np.isfinite(slope).all()


def test_a_difference_keeps_its_class():
    logits_fn, weights = toys.linear()
    labels = toys.labels()
    maps = ja.saliency(logits_fn, IMAGES, labels, score=scores.difference(3))
    columns = np.moveaxis(np.asarray(weights), -1, 0)
    np.testing.assert_allclose(maps, columns[labels] - columns[3][None], rtol=1e-5)
    with pytest.raises(ValueError, match="other: .*at least 0"):
        scores.difference(-1)
    wrong = scores.difference(9)(logits_fn, labels)(IMAGES)
    assert np.isnan(wrong).all()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (lambda x: x[:, 0, 0, 0], "ja.scores.two_columns"),
        (lambda x: x[:, 0, 0, :1], "ja.scores.two_columns"),
        (places, "ja.scores.region"),
        (lambda x: places(x)[..., 0], "ja.scores.region"),
        (lambda x: (x[:, :4, 0], x[:, :4, 1]), "ja.scores.box"),
        (lambda x: {"boxes": x, "scores": x}, "ja.scores.box"),
    ],
)
def test_an_output_of_another_shape_is_told_which_score(output, words):
    with pytest.raises(ValueError, match=f"logits_fn: .*{words}.*docs/any-scalar.md"):
        ja.saliency(output, IMAGES, jnp.zeros(3, int))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scores.region(places, np.ones((6, 4))), r"where: .*\(6, 5\)"),
        (lambda: scores.region(places, (6, 0)), r"where: .*\(6, 5\)"),
        (lambda: scores.region(places, (1, 2, 3)), "where: .*a pixel"),
        (
            lambda: scores.region(places, np.zeros((6, 5))),
            "where: .*at least one pixel",
        ),
        (lambda: scores.region(lambda x: x[:, 0, 0], (0, 0)), "model: .*at places"),
        (lambda: scores.box(lambda x: x, (0, 0, 1, 1)), "detector: .*a pair"),
        (lambda: scores.box(lambda x: (x, x), (0, 0, 1, 1)), "detector: .*scores"),
        (lambda: scores.box(places, (0, 0, 0, 1)), "target: .*x0 < x1"),
        (lambda: scores.similarity(places, jnp.ones(3)), r"references: .*\(R, D\)"),
        (lambda: scores.similarity(places, jnp.ones((2, 3))), r"embed: .*\(N, 3\)"),
    ],
)
def test_misuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()(IMAGES)
