"""Static checks: what is refused, and that the message names the argument."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxattr import _checks

IMAGES = np.zeros((2, 4, 5, 3), np.float32)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: _checks.check_images(IMAGES[0]), r"images: .*got float32\[4, 5, 3\]"),
        (lambda: _checks.check_images(IMAGES.astype(np.uint8)), "divide .* by 255"),
        (lambda: _checks.check_images(IMAGES[:0]), r"images: .*non-empty"),
        (lambda: _checks.check_images("cat.jpg"), "images: .*got 'cat.jpg'"),
        (lambda: _checks.check_labels([0, 1, 2], 2), r"labels: .*\(2,\).*int32\[3\]"),
        (lambda: _checks.check_labels([0.0, 1.0], 2), "labels: expected integers"),
        (
            lambda: _checks.check_like_images("baseline", IMAGES[:, 0], IMAGES),
            "baseline",
        ),
        (
            lambda: _checks.check_integer("num_steps", 0),
            "num_steps: .*at least 1, got 0",
        ),
        (lambda: _checks.check_integer("num_steps", 2.0), "num_steps: .*got 2.0"),
        (lambda: _checks.check_batch_size(0), "batch_size: "),
        (lambda: _checks.check_number("epsilon", "x"), "epsilon: expected a number"),
        (lambda: _checks.check_number("beta", "5"), "beta: expected a number, got '5'"),
        (
            lambda: _checks.check_float_dtype("dtype", "floaty"),
            "dtype: .*floating-point",
        ),
        (lambda: _checks.check_float_dtype("dtype", int), "dtype: .*floating-point"),
        (lambda: _checks.check_number("epsilon", -1, 0.0), "epsilon: .*at least 0"),
        (lambda: _checks.check_number("rho", 2, 0.0, 1.0), "rho: .*between 0 and 1"),
        (lambda: _checks.check_bounds(1.0), "bounds: expected a pair"),
        (lambda: _checks.check_bounds((1.0, 0.0)), "bounds: .*low < high"),
        (lambda: _checks.check_choice("rule", "lift", ("left", "right")), "mean left"),
    ],
)
def test_misuse_is_named(check, message):
    with pytest.raises(ValueError, match=message):
        check()


def test_what_is_right_comes_back():
    images, labels = _checks.check_inputs(IMAGES.astype(jnp.bfloat16), [1, 0])
    assert images.dtype == jnp.float32
    assert labels.dtype == jnp.argmax(images).dtype
    baseline = _checks.check_like_images("baseline", 0.5, images)
    np.testing.assert_array_equal(baseline, np.full_like(IMAGES, 0.5))
    assert _checks.check_integer("k", np.int64(3)) == 3
    assert _checks.check_batch_size(None) is None
    assert _checks.check_bounds((0, 1)) == (0.0, 1.0)
    assert _checks.check_choice("rule", "left", ("left", "right")) == "left"


def test_a_traced_number_is_not_looked_at():
    got = jax.jit(lambda x: _checks.check_number("epsilon", x, 0.0))(-1.0)
    assert got == -1
