"""Why no boundary was found."""

import jax.numpy as jnp
import pytest

from jaxattr.boundaries import diagnosis
from jaxattr.boundaries.search import as_members


def linear(images):
    return jnp.stack([images.sum((1, 2, 3)), -images.sum((1, 2, 3))], 1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (linear, "no member of the search came across within its budget"),
        (lambda x: jnp.nan * linear(x), "the logits are not finite"),
        (lambda x: 0 * linear(x), "the logits do not change with the image"),
        (lambda x: jnp.sign(linear(x - 0.45)), "the gradient of the margin is zero"),
        (
            # The square root of nothing has an infinite slope.
            lambda x: jnp.stack([jnp.sqrt(x[:, 0, 0, 0]), x[:, 0, 0, 1] - 2], 1),
            "the gradient of the margin is not finite",
        ),
        (lambda x: linear(x)[:, :1], "the gradient of the margin is zero"),
    ],
)
def test_reason(model, message):
    image = jnp.full((1, 2, 2, 3), 0.4).at[0, 0, 0, 0].set(0)
    assert diagnosis.diagnose(model, image) == message


def test_a_model_that_is_too_sure_has_no_gradient_to_step_along():
    """Logits 960 apart: the other class has a probability that is 0 in float32."""
    image = jnp.full((1, 2, 2, 3), 0.4)
    found = diagnosis.diagnose(lambda x: 100 * linear(x), image)
    assert "the gradient of the cross-entropy is zero" in found


def test_one_image_at_a_time():
    with pytest.raises(ValueError, match="images: expected one image"):
        diagnosis.diagnose(linear, jnp.ones((2, 2, 2, 3)))


def test_budgets_name_members_in_their_order():
    assert [b.split(":")[0] for b in diagnosis.budgets(as_members("fab,ddn"))] == [
        "fab",
        "ddn",
    ]
