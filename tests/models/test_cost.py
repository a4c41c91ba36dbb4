"""What a network costs, counted and measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_zoo

from jaxattr import cli, models
from jaxattr.models import cost as costs


@pytest.mark.parametrize(
    ("name", "millions", "billions"),
    # Torchvision's own figures; biases of folded batch norms in place of their two arrays.
    [
        pytest.param("resnet18", 11.69, 1.814, marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", 3.50, 0.301, marks=pytest.mark.slow),
    ],
)
def test_published_figures(name, millions, billions):
    model = models.load(name, "random", key=jax.random.key(0))
    assert costs.multiply_adds(model, (224, 224)) / 1e9 == pytest.approx(
        billions, rel=3e-3
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(model)) / 1e6
    assert count == pytest.approx(millions, rel=0.01)


def test_products_are_counted_inside_of_loops_and_calls():
    matrix = np.ones((12, 7), np.float32)

    def model(images):
        def step(total, _):
            return total + images.reshape(1, -1) @ matrix, None

        total, _ = jax.lax.scan(jax.jit(step), jnp.zeros((1, 7)), None, length=5)
        return total

    assert costs.multiply_adds(model, (2, 2)) == 5 * 12 * 7


@pytest.mark.slow
def test_grouped_and_depthwise_convolutions():
    with small_zoo.in_catalog():
        model = small_zoo.load("small_resnet")
        got = costs.multiply_adds(model, (16, 16))
    # conv1 at 8x8; four blocks of a 1x1, a grouped 3x3, a 1x1 and a projection; the head.
    want = 64 * 7 * 7 * 3 * 64
    inputs, side = 64, 4
    for i, base in enumerate((64, 128, 256, 512)):
        width, outputs = base * 8 // 64 * 2, 4 * base
        after = side if i == 0 else -(-side // 2)
        want += side**2 * inputs * width + after**2 * 9 * width * width // 2
        want += after**2 * (width * outputs + inputs * outputs)
        inputs, side = outputs, after
    assert got == want + inputs * 5


def test_on_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(costs, "SECONDS", 0.0)
    with small_zoo.in_catalog():
        words = ["models", "--benchmark", "small_vit", "--batch-size", "2"]
        assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("small_vit, 16x16, float32, 2 at once, ")
    words = [line.split()[0] for line in lines[1:]]
    assert words == ["parameters", "multiply-adds", "gradient", "forward", "input"]
    assert "MB an image" in lines[3]
    assert cli.main(["models", "--benchmark", "resnet51"]) == 2
    assert "--benchmark: unknown 'resnet51'; did you mean" in capsys.readouterr().err
