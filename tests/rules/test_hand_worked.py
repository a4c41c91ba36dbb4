"""Every rule on a net of a few numbers, worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from quick import quick

from jaxattr import rules
from jaxattr.attributions.deeplift import deeplift
from jaxattr.attributions.lrp import lrp
from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.convolutions.mean_pooling import adaptive_mean
from jaxattr.interpreter.backward import pull_back
from jaxattr.interpreter.nodes import Reading
from jaxattr.models.activations import relu6
from jaxattr.rules import Composite

X = jnp.array([1.0, 2.0, -1.0]).reshape(1, 1, 1, 3)
LABEL = jnp.array([0])
EXACT = Composite(
    convolution=rules.Epsilon(0.0),
    dense=rules.Epsilon(0.0),
    sum=rules.Epsilon(0.0),
    addition=rules.Epsilon(0.0),
)


def two(logits_fn):
    """With a second class, whose logit is zero."""

    def with_another(x):
        logits = logits_fn(x)
        return jnp.concatenate([logits, jnp.zeros_like(logits)], -1)

    return with_another


def explain(logits_fn, x=X, composite=EXACT, **options):
    maps = lrp(two(logits_fn), x, LABEL, composite=composite, **options)
    return np.asarray(maps).reshape(-1)


def dense(x, weights, bias=None):
    z = x.reshape(x.shape[0], -1) @ jnp.asarray(weights, x.dtype)
    return z if bias is None else z + jnp.asarray(bias, x.dtype)[None]


def single(rule):
    """The rule in a net that is one linear layer ``z = x₁ + 2 x₂ + 3 x₃ - 1 = 1``."""
    composite = Composite(dense=rule, first_dense=rule)
    return explain(lambda x: dense(x, [[1.0], [2.0], [3.0]], [-1.0]), X, composite)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # Parts 1, 4, -3 and a bias of -1; z = 1, so R = 1.
        (rules.Epsilon(0.0), [1.0, 4.0, -3.0]),
        (rules.Epsilon(1.0), [0.5, 2.0, -1.5]),
        (rules.ZPlus(0.0), [1 / 5, 4 / 5, 0.0]),
        # Positive parts sum to 5, negative ones to -3 - 1.
        (rules.AlphaBeta(2.0, 1.0, 0.0), [2 / 5, 8 / 5, -3 / 4]),
        # Positive parts count 1.25 times, over 1.25 + 5 - 3 - 1 = 2.25.
        (rules.Gamma(0.25, 0.0), [1.25 / 2.25, 5 / 2.25, -3 / 2.25]),
        (rules.Flat(0.0), [1 / 3, 1 / 3, 1 / 3]),
        # 1, 4 and 9 over their sum and the squared bias.
        (rules.WSquared(0.0), [1 / 15, 4 / 15, 9 / 15]),
        # Parts x w - w⁺ (-1) - w⁻ 2: 2, 6 and 0.
        (rules.ZBox(-1.0, 2.0, 0.0), [2 / 8, 6 / 8, 0.0]),
    ],
    ids=lambda v: type(v).__name__ if not isinstance(v, list) else "",
)
def test_linear(rule, expected):
    np.testing.assert_allclose(single(rule), expected, rtol=1e-6, atol=1e-7)


def test_gamma_of_a_negative_result_enlarges_negative_parts():
    """``z = 1 + 4 - 3 - 4 = -2``: the parts -3 and -4 count 1.25 times."""
    composite = Composite(dense=rules.Gamma(0.25, 0.0))
    maps = explain(
        lambda x: dense(x, [[1.0], [2.0], [3.0]], [-4.0]), composite=composite
    )
    parts = np.array([1.0, 4.0, -3.75])
    np.testing.assert_allclose(maps, -2 * parts / (parts.sum() - 5), rtol=1e-6)


@pytest.mark.parametrize(
    "rule",
    quick([rules.Gamma(0.25), rules.ZPlus(), rules.AlphaBeta()], rules.AlphaBeta()),
)
def test_the_short_way_for_features_that_are_not_negative_agrees(rule):
    """After a ReLU fewer products are needed; seen by hiding that it was one."""
    first = jax.random.normal(jax.random.key(0), (3, 6))
    second = jax.random.normal(jax.random.key(1), (6, 2))
    bias = jnp.array([0.3, -0.4])

    def net(x, rectify):
        return dense(rectify(dense(x, first)), second, bias)

    hidden = lambda h: jnp.where(jnp.sin(h) < 2, jax.nn.relu(h), 1 / h)
    composite = Composite(dense=rule)
    for label in (0, 1):
        short, long = (
            lrp(lambda x: net(x, r), X, jnp.array([label]), composite=composite)
            for r in (jax.nn.relu, hidden)
        )
        np.testing.assert_allclose(short, long, rtol=2e-5, atol=1e-6)


def test_relu_hands_on_what_its_result_has():
    """``h = relu(1, -1)``, ``z = 3 h``: the closed unit has nothing to hand on."""
    first = [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    maps = explain(lambda x: dense(jax.nn.relu(dense(x, first)), [[3.0], [5.0]]))
    np.testing.assert_allclose(maps, [3.0, 0.0, 0.0])


def test_max_pooling_gives_all_to_the_winner():
    maps = explain(lambda x: 2 * jnp.max(x, axis=-1).reshape(1, 1))
    np.testing.assert_allclose(maps, [0.0, 4.0, 0.0])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: jnp.max(x, axis=-1), [0.5, 0.5]),
        (lambda x: jnp.maximum(x[..., 0], x[..., 1]), [0.5, 0.5]),
        (lambda x: jnp.where(x[..., 1] > x[..., 0], x[..., 1], x[..., 0]), [1.0, 0.0]),
        (
            lambda x: lax.reduce_window(
                x, -jnp.inf, lax.max, (1, 1, 1, 2), (1, 1, 1, 1), "VALID"
            ),
            [1.0, 0.0],
        ),
    ],
    ids=["max", "maximum", "where", "reduce_window"],
)
def test_ties(function, expected):
    tied = jnp.ones((1, 1, 1, 2))
    maps = explain(lambda x: function(x).reshape(1, 1), tied)
    np.testing.assert_allclose(maps, expected)


def test_residual_addition_shares_in_proportion():
    """``h = 2 x``, ``z = Σ (x + h)``: a third of each part came the short way."""

    def net(x):
        x = dense(x, np.eye(3))
        return jnp.sum(x + dense(x, 2 * np.eye(3)), -1, keepdims=True)

    np.testing.assert_allclose(explain(net), [3.0, 6.0, -3.0], rtol=1e-6)


def test_bias_of_a_linear_layer_keeps_its_share():
    """``z = relu(x₁ + x₂ + 1) = 4``; the bias keeps a quarter."""
    maps = explain(lambda x: jax.nn.relu(dense(x, [[1.0], [1.0], [0.0]], [1.0])))
    np.testing.assert_allclose(maps, [1.0, 2.0, 0.0])


def test_batch_norm_behind_a_layer_belongs_to_it():
    """``y = (3 z - 3) · (-2) + 1`` is ``-6 z + 7``, folded or not, for every rule."""
    weights = np.array([[1.0], [2.0], [3.0]])
    scale, mean, shift = (jnp.array([v]) for v in (-2.0, 3.0, 1.0))

    def normed(x):
        z = dense(x, 3 * weights)
        return (z - mean[None]) * scale[None] + shift[None]

    def folded(x):
        return dense(x, -6 * weights, [7.0])

    for rule in (
        *(rules.Epsilon(), rules.ZPlus(), rules.AlphaBeta(), rules.Gamma()),
        *(rules.WSquared(), rules.ZBox(-1.0, 2.0)),
    ):
        composite = Composite(dense=rule)
        np.testing.assert_allclose(
            explain(normed, composite=composite),
            explain(folded, composite=composite),
            rtol=1e-5,
        )


def test_product_is_shared_alike():
    """``z = x₁ x₂ = 2``: one each; with its gate a sigmoid of x₃, half goes there."""
    maps = explain(lambda x: (x[..., 0] * x[..., 1]).reshape(1, 1))
    np.testing.assert_allclose(maps, [1.0, 1.0, 0.0])
    maps = explain(lambda x: (x[..., 0] * jax.nn.sigmoid(x[..., 2])).reshape(1, 1))
    half = float(jax.nn.sigmoid(-1.0)) / 2
    np.testing.assert_allclose(maps, [half, 0.0, half], rtol=1e-6)


def test_matrix_product_of_two_branches():
    """``z = a · b`` of vectors: every summand in halves."""
    x = jnp.array([1.0, 2.0, 3.0, -4.0]).reshape(1, 1, 2, 2)

    def net(x):
        return jnp.einsum("nhc,nhc->n", x[:, :, 0], x[:, :, 1])[:, None]

    # 1·3 and 2·(-4) sum to -5.
    np.testing.assert_allclose(explain(net, x), [1.5, -4.0, 1.5, -4.0], rtol=1e-5)


def test_one_nonlinearity_however_it_is_written():
    """``x Φ(x)`` and ``x σ(x)`` are functions of x, not products of branches."""
    for function in (jax.nn.gelu, jax.nn.silu, lambda v: v * jnp.tanh(v) + 0.1 * v):
        maps = explain(lambda x: jnp.sum(function(x), axis=(1, 2, 3))[:, None])
        np.testing.assert_allclose(maps, np.ravel(function(X)), rtol=1e-5)


def test_softmax_by_its_taylor_expansion():
    """``R_i = x_i (R_i - p_i Σ R)`` for ``R`` of the first class alone."""
    maps = explain(lambda x: jax.nn.softmax(x.reshape(1, 3)))
    p = np.exp([1.0, 2.0, -1.0])
    p /= p.sum()
    r = np.array([p[0], 0.0, 0.0])
    np.testing.assert_allclose(
        maps, np.array([1.0, 2.0, -1.0]) * (r - p * r.sum()), rtol=1e-5
    )


def test_masked_softmax_leaves_out_what_is_masked():
    kept = jnp.array([[True, True, False]])

    def chosen(x):
        return jax.nn.softmax(jnp.where(kept, x.reshape(1, 3), -jnp.inf))

    def added(x):
        return jax.nn.softmax(x.reshape(1, 3) + jnp.where(kept, 0.0, -jnp.inf))

    for net in (chosen, added):
        maps = explain(net)
        assert maps[2] == 0
        assert np.isfinite(maps).all()


def layer_norm(x):
    centred = x - jnp.mean(x, -1, keepdims=True)
    return centred * lax.rsqrt(jnp.mean(centred**2, -1, keepdims=True) + 1e-6)


def flax_layer_norm(x):
    mean = jnp.mean(x, -1, keepdims=True)
    variance = jnp.maximum(jnp.mean(x * x, -1, keepdims=True) - mean * mean, 0.0)
    return (x - mean) * (
        lax.rsqrt(variance + 1e-6) * jnp.array([[1.0, 2.0, 3.0]])
    ) + jnp.array([[0.0, 0.0, 0.0]])


@pytest.mark.parametrize("norm", [layer_norm, flax_layer_norm])
def test_layer_norm_as_identity(norm):
    """Every number hands on what its normalised value has.

    The readout is not the input, for which an affine layer would share alike.
    """
    readout = jnp.array([[1.0], [-2.0], [3.0]])
    maps = explain(lambda x: norm(dense(x, np.eye(3))) @ readout)
    values = np.asarray(norm(X.reshape(1, 3)))[0]
    np.testing.assert_allclose(maps, values * np.asarray(readout)[:, 0], rtol=1e-4)


def test_layer_norm_as_an_affine_layer():
    """The statistic is a factor, ``x - mean`` is shared in proportion."""
    composite = rules.composite(EXACT, normalization=rules.Epsilon(0.0))
    readout = np.array([1.0, 2.0, -1.0])
    x = np.array([1.0, 2.0, -1.0])
    maps = explain(
        lambda x: layer_norm(dense(x, np.eye(3))) @ jnp.asarray(readout)[:, None],
        composite=composite,
    )
    centred = x - x.mean()
    slope = readout / np.sqrt((centred**2).mean() + 1e-6)
    np.testing.assert_allclose(maps, x * (slope - slope.mean()), rtol=1e-4)


def test_rms_norm_changes_no_relevance():
    def net(x):
        x = dense(x, np.eye(3))
        return (x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True))) @ jnp.ones((3, 1))

    x = np.array([1.0, 2.0, -1.0])
    np.testing.assert_allclose(explain(net), x / np.sqrt((x**2).mean()), rtol=1e-5)


def test_channel_attention_is_no_norm():
    """A factor made of means, but by no root or quotient, is a branch of its own."""

    def net(x):
        gate = jax.nn.sigmoid(jnp.mean(x, (1, 2), keepdims=True))
        return jnp.sum(x * gate, axis=(1, 2))

    maps = explain(net)
    half = float(jax.nn.sigmoid(1.0)) / 2
    np.testing.assert_allclose(maps, [2 * half, 0.0, 0.0], rtol=1e-5)


def test_preprocessing_hands_on_the_relevance_of_what_it_makes():
    """The pixel has the relevance of the normalised value, its zero included."""
    mean, std = jnp.array([1.0, 0.5, 0.0]), jnp.array([2.0, 0.5, 1.0])

    def net(x):
        normed = (x - mean[None, None, None]) / std[None, None, None]
        return dense(normed, [[5.0], [1.0], [2.0]])

    np.testing.assert_allclose(explain(net), [0.0, 3.0, -2.0], atol=1e-6)


def test_z_box_takes_its_bounds_through_the_preprocessing():
    mean, std = 0.5, 0.25
    x = jnp.array([0.25, 0.75, 0.5]).reshape(1, 1, 1, 3)
    weights = np.array([1.0, -2.0, 3.0])
    composite = Composite(first_dense=rules.ZBox(0.0, 1.0, 0.0))
    maps = explain(
        lambda x: dense((x - mean) / std, weights[:, None]), x, composite=composite
    )
    inside, low, high = (np.asarray(x).ravel() - mean) / std, -2.0, 2.0
    parts = (
        inside * weights - np.maximum(weights, 0) * low - np.minimum(weights, 0) * high
    )
    score = (inside * weights).sum()
    np.testing.assert_allclose(maps, score * parts / parts.sum(), rtol=1e-6)


def test_a_rule_for_a_primitive_and_for_a_part():
    """The user's own, by the name of a primitive, of a scope, and of a tag."""
    seen = []

    def double(layer, relevance):
        seen.append((layer.kind, layer.scope, len(layer.inputs)))
        return [2 * r.reshape(x.shape) for r, x in zip(relevance, layer.inputs)]

    def net(x):
        x = dense(x, np.eye(3))
        with jax.named_scope("outer"), jax.named_scope("block"):
            x = jnp.cosh(x) - 1
        return jnp.sum(checkpoint_name(x, "tag"), -1, keepdims=True)

    plain = explain(net)
    for given in (
        {"primitives": {"cosh": double}},
        {"parts": {"outer/block": double}},
        {"parts": {"tag": double}},
    ):
        maps = explain(net, composite=rules.composite(EXACT, **given))
        np.testing.assert_allclose(maps, 2 * plain, rtol=1e-5)
    assert [s[0] for s in seen] == ["pointwise", "part", "part"]


def test_what_has_no_rule_is_linearised():
    """``R_i = Σ_j x_i ∂z_j/∂x_i R_j / z_j`` of a cumulative product."""

    def net(x):
        return jnp.sum(lax.cumprod(x.reshape(1, 3), axis=1), -1, keepdims=True)

    with pytest.raises(ValueError, match="no rule for the primitive 'cumprod'"):
        explain(net)
    # z = (x₁, x₁ x₂, x₁ x₂ x₃) = (1, 2, -2), and every factor has all of its product.
    maps = explain(net, unknown="gradient")
    np.testing.assert_allclose(maps, [1.0, 0.0, -2.0], rtol=1e-5, atol=1e-5)


def test_no_relevance_where_the_score_depends_on_nothing():
    maps = lrp(lambda x: jnp.ones((1, 2)), X, LABEL)
    np.testing.assert_array_equal(maps, 0)


def test_a_label_that_is_no_class_gives_nan():
    run = jax.jit(lambda label: lrp(lambda x: x.reshape(1, 3), X, label))
    maps = run(jnp.array([7]))
    assert bool(jnp.isnan(maps).all())


def test_the_interpreter_with_gradients_is_the_gradient():
    """Its plumbing alone: every rule a derivative."""

    def score(x):
        h = jnp.tanh(dense(x, np.arange(12.0).reshape(3, 4) / 10))
        h = jax.nn.softmax(h) * h + jnp.max(h, -1, keepdims=True)
        return jnp.sum(layer_norm(h), -1) * jnp.prod(h, -1)

    run = lambda x: pull_back(
        score,
        [x],
        jnp.ones_like,
        lambda node: rules.Gradient(),
        Reading(normalizations=False),
    )
    maps = jax.jit(run)(X)
    expected = jax.jit(jax.grad(lambda x: jnp.sum(score(x))))(X)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


def test_means_over_places_pass_relevance_whatever_the_rule_of_convolutions():
    """A matrix that averages is no layer with weights: with α = 2 it would double."""
    weights = jnp.array([[1.0, 0.5], [2.0, 0.25]])
    net = lambda x: jnp.mean(adaptive_mean(x, 3), (1, 2)) @ weights
    x, labels = jnp.arange(1.0, 17.0).reshape(2, 2, 2, 2) / 16, jnp.array([0, 1])
    maps = jax.jit(lambda x: lrp(net, x, labels, composite="epsilon_alpha2_beta1"))(x)
    score = net(x)[jnp.arange(2), labels]
    np.testing.assert_allclose(maps.sum((1, 2, 3)), score, rtol=1e-5)


@pytest.mark.parametrize("window", [2, 3])
def test_deeplift_of_max_pooling_goes_to_the_winner_of_the_larger(window):
    """Worked out window by window, from what wins in the image and in the baseline."""
    rng = np.random.default_rng(0)
    x, baseline = rng.normal(size=(2, 1, 5, 5, 1))
    weights = rng.normal(size=(1 + (5 - window) // 2,) * 2)
    both = jnp.stack([0 * weights, weights], -1)
    net = lambda x: jnp.einsum("nijc,ijk->nk", max_pool(x, window, 2), both)
    expected = np.zeros((5, 5))
    for (i, j), weight in np.ndenumerate(weights):
        part = np.s_[0, 2 * i : 2 * i + window, 2 * j : 2 * j + window, 0]
        change = x[part].max() - baseline[part].max()
        best = np.argmax((x if change >= 0 else baseline)[part])
        expected[2 * i + best // window, 2 * j + best % window] += weight * change
    given = jnp.asarray(x, jnp.float32), jnp.ones(1, int)
    found = deeplift(net, *given, baseline=jnp.asarray(baseline, jnp.float32))
    np.testing.assert_allclose(found[0, :, :, 0], expected, rtol=1e-4, atol=1e-6)


def test_rules_through_the_gradient_of_max_pooling():
    """Which pixel wins is not explained; DeepLIFT, which would have to, says so."""
    x = jax.random.normal(jax.random.key(1), (1, 6, 6, 2))
    weights = jax.random.normal(jax.random.key(2), (72, 2))
    squares = lambda x: jnp.sum(max_pool(x, 3, 2, padding="symmetric") ** 2) / 2
    net = lambda x: jax.grad(squares)(x).reshape(len(x), -1) @ weights
    slope = jax.grad(lambda x: net(x)[0, 0])(x)
    np.testing.assert_allclose(lrp(net, x, LABEL), x * slope, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="through int8 values into"):
        deeplift(net, x, LABEL)


@pytest.mark.slow
def test_deeplift_is_differentiated_through_padding_with_minus_infinity():
    """What is minus infinity for image and baseline differs by nothing."""
    x = jax.random.normal(jax.random.key(1), (1, 4, 4, 2)) ** 2
    weights = jnp.arange(16.0).reshape(8, 2) / 16
    net = lambda x: (
        max_pool(x**2, 3, 2, padding="symmetric").reshape(len(x), -1) @ weights
    )

    @jax.jit
    def first(x):
        return jnp.sum(deeplift(net, x, LABEL)[0, :2] ** 2)

    slope = jax.jit(jax.grad(first))(x)
    step = 1e-3 * jnp.ones_like(x)
    change = (first(x + step) - first(x - step)) / 2e-3
    np.testing.assert_allclose(jnp.sum(slope), change, rtol=1e-2)


def test_a_map_of_epsilon_takes_the_memory_of_a_gradient():
    """Of an activation only the argument is kept, not its result as well."""
    weights = jnp.eye(8) + 0.1

    def net(x):
        for _ in range(6):
            x = relu6(jnp.einsum("nhwc,cd->nhwd", x, weights) + 0.1)
        return jnp.mean(x, (1, 2))

    def memory(function):
        program = jax.jit(function).lower(jnp.ones((4, 32, 32, 8))).compile()
        return program.memory_analysis().temp_size_in_bytes

    labels = jnp.zeros(4, int)
    gradient = memory(jax.grad(lambda x: jnp.sum(net(x)[:, 0])))
    assert memory(lambda x: lrp(net, x, labels, composite="epsilon")) < 1.4 * gradient
