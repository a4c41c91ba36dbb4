import numpy as np
import pytest

from jaxattr._numerics import quadrature


@pytest.mark.parametrize("name", quadrature.RULES)
@pytest.mark.parametrize("num_steps", [2, 3, 50])
def test_weights_sum_to_one_on_nodes_in_the_unit_interval(name, num_steps):
    rule = quadrature.rule(name, num_steps)
    assert rule.nodes.shape == rule.weights.shape == (num_steps,)
    assert abs(rule.weights.sum() - 1) < 1e-12
    assert rule.nodes.min() >= 0
    assert rule.nodes.max() <= 1


@pytest.mark.parametrize(
    ("name", "degree"),
    [
        ("left", 0),
        ("right", 0),
        ("midpoint", 1),
        ("trapezoid", 1),
        ("gauss-legendre", 7),
    ],
)
def test_exact_to_the_rule_s_degree_and_no_further(name, degree):
    nodes, weights = quadrature.rule(name, 4)

    def error(power):
        return abs((weights * nodes**power).sum() - 1 / (power + 1))

    assert max(error(p) for p in range(degree + 1)) < 1e-12
    assert error(degree + 1) > 1e-6


def test_ends():
    assert quadrature.rule("left", 4).nodes[0] == 0
    assert quadrature.rule("right", 4).nodes[-1] == 1
    np.testing.assert_array_equal(
        quadrature.rule("trapezoid", 3).weights, [0.25, 0.5, 0.25]
    )


def test_misuse():
    with pytest.raises(
        ValueError, match="rule: unknown 'midpont'; did you mean midpoint"
    ):
        quadrature.rule("midpont", 5)
    with pytest.raises(
        ValueError, match="num_steps: expected an integer of at least 1"
    ):
        quadrature.rule("left", 0)
    with pytest.raises(
        ValueError, match="num_steps: expected an integer of at least 2"
    ):
        quadrature.rule("trapezoid", 1)
