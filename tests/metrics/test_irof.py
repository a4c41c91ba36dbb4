"""IROF against a loop over segments, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja

PARAMS = toys.init_smooth(jax.random.key(4))
model = functools.partial(toys.smooth_logits, PARAMS)
IMAGES, LABELS = toys.images(), jnp.array([2, 0, 1])
MAPS = jax.random.normal(jax.random.key(1), IMAGES.shape)
# Five, eight and one: images need not have equally many.
SEGMENTS = np.stack(
    [
        np.broadcast_to(np.arange(5)[None], (6, 5)),
        (np.arange(30).reshape(6, 5) * 3) % 8,
        np.zeros((6, 5), int),
    ]
)
run = functools.partial(ja.irof, model, IMAGES, MAPS, labels=LABELS)


def reference(i, substrate, score):
    """The area over the curve, segment after segment."""
    image, maps = np.asarray(IMAGES[i]), np.asarray(MAPS[i]).sum(-1)
    under = np.broadcast_to(
        image.mean((0, 1)) if substrate == "mean" else substrate, image.shape
    )
    means = {s: maps[SEGMENTS[i] == s].mean() for s in np.unique(SEGMENTS[i])}
    curve, seen = [], image.copy()
    for s in [None, *sorted(means, key=means.get, reverse=True)]:
        seen = np.where((SEGMENTS[i] == s)[..., None], under, seen)
        value = score(model, LABELS[i : i + 1])(jnp.asarray(seen, jnp.float32)[None])
        curve.append(float(value[0]))
    curve = np.array(curve) / curve[0]
    return 1 - np.trapezoid(curve, dx=1 / len(means))


@pytest.mark.parametrize("substrate", quick(["mean", 0.25], "mean"))
def test_against_a_loop(substrate):
    expected = [reference(i, substrate, ja.scores.probability) for i in range(3)]
    jitted = jax.jit(
        lambda segments: run(
            segments=segments, num_segments=9, substrate=substrate, batch_size=7
        )
    )
    np.testing.assert_allclose(jitted(SEGMENTS), expected, rtol=1e-4)
    options = {"substrate": substrate, "score": ja.scores.cross_entropy}
    expected = [reference(i, **options) for i in range(3)]
    found = run(segments=SEGMENTS, batch_size=2, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_by_hand_and_of_the_predicted_class():
    """The score is the first segment: gone with it, over half of the first step."""
    logits_fn = lambda x: jnp.log(jnp.stack([x[:, 0, 0, 0], 1 - x[:, 0, 0, 0]], 1))
    images = jnp.full((1, 2, 2, 1), 0.75)
    segments = jnp.arange(4).reshape(1, 2, 2)
    measure = jax.jit(
        functools.partial(ja.irof, logits_fn, images, segments=segments, substrate=0.0)
    )
    maps = jnp.array([4.0, 3.0, 2.0, 1.0]).reshape(1, 2, 2)
    np.testing.assert_allclose(measure(maps), 1 - 0.5 / 4)
    np.testing.assert_allclose(measure(-maps), 1 - 3.5 / 4)
    assert np.isnan(measure(maps.at[0, 1, 1].set(jnp.nan))).all()


def test_wrong_segments_and_labels_are_refused_or_nan():
    gap = np.where(SEGMENTS == 3, 9, SEGMENTS)
    for wrong in (gap, SEGMENTS + 1, SEGMENTS - 1):
        with pytest.raises(ValueError, match="segments: .* without gaps"):
            run(segments=wrong)
    for wrong in (SEGMENTS[:, :4], SEGMENTS.astype(float)):
        with pytest.raises(
            ValueError, match=r"segments: expected integers \(3, 6, 5\)"
        ):
            run(segments=wrong)
    with pytest.raises(
        ValueError, match="num_segments: expected .* where segments are"
    ):
        jax.jit(lambda s: run(segments=s))(SEGMENTS)
    with pytest.raises(
        ValueError, match="num_segments: .*at least 8, of these segments"
    ):
        run(segments=SEGMENTS, num_segments=4)
    with pytest.raises(ValueError, match="substrate: expected 'mean', a number"):
        run(segments=SEGMENTS, substrate="grey")
    with pytest.raises(ValueError, match=r"labels: .*\(3,\)"):
        run(segments=SEGMENTS, labels=LABELS[:1])
    found = jax.jit(lambda s: run(segments=s, num_segments=6))(SEGMENTS)
    assert np.isnan(found[1])
    assert np.isfinite(found[jnp.array([0, 2])]).all()
