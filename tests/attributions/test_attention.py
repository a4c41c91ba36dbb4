"""Maps of attention against numbers worked by hand and a slow reference in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_zoo
import toys
from quick import quick

import jaxattr as ja

CHANNELS, HEADS, CLASSES = 4, 2, 3
SIZE = (4, 8)  # patches of 2 x 4 pixels: a grid of 2 x 2, and a class token
TOKENS = 5
LABELS = np.array([2, 0])


def draw(num_blocks=2):
    random = np.random.default_rng(0)
    block = {"qkv": (CHANNELS, 3 * CHANNELS), "out": (CHANNELS, CHANNELS)}
    return {
        "patches": random.normal(size=(8, CHANNELS)),
        "token": random.normal(size=(1, 1, CHANNELS)),
        "head": random.normal(size=(CHANNELS, CLASSES)),
        "blocks": [
            {name: random.normal(size=shape) for name, shape in block.items()}
            for _ in range(num_blocks)
        ],
    }


PARAMS = draw()
IMAGES = np.random.default_rng(1).uniform(size=(2, *SIZE, 1))


def tokens_of(xp, params, images):
    x = images.reshape(-1, 2, 2, 2, 4).swapaxes(2, 3).reshape(-1, 4, 8)
    x = x @ params["patches"]
    return xp.concatenate([xp.zeros_like(x[:, :1]) + params["token"], x], 1)


def attend(xp, softmax, block, x, added=None):
    """One block with something added to its attention matrix, and the matrix."""
    qkv = (x @ block["qkv"]).reshape(-1, TOKENS, 3, HEADS, CHANNELS // HEADS)
    query, key, value = (qkv[:, :, i] for i in range(3))
    matrix = softmax(xp.einsum("nthd,nshd->nhts", query, key))
    if added is not None:
        matrix = matrix + added
    mixed = xp.einsum("nhts,nshd->nthd", matrix, value).reshape(x.shape)
    return x + xp.tanh(mixed @ block["out"]), matrix


def read_out(xp, params, x):
    return xp.tanh(x[:, 0]) @ params["head"]


def logits_fn(params, images):
    x = tokens_of(jnp, params, images)
    for i, block in enumerate(params["blocks"]):
        with jax.named_scope(f"block{i}"):
            x, _ = attend(jnp, jax.nn.softmax, block, x)
    return read_out(jnp, params, x)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def forward(images, added):
    """Logits, matrices and what the blocks return, in numpy."""
    x, matrices, results = tokens_of(np, PARAMS, images), [], []
    for block, more in zip(PARAMS["blocks"], added, strict=True):
        x, matrix = attend(np, softmax, block, x, more)
        matrices.append(matrix)
        results.append(x)
    return read_out(np, PARAMS, x), matrices, results


def slope(function, shape, h=1e-5):
    """The derivative of ``(N,)`` by each entry of an array of zeros ``(N, ...)``."""
    found = np.zeros(shape)
    for index in np.ndindex(*shape[1:]):
        step = np.zeros(shape)
        step[(slice(None), *index)] = h
        found[(slice(None), *index)] = (function(step) - function(-step)) / (2 * h)
    return found


def upscaled(tokens):
    grid = tokens[:, 1:].reshape(-1, 2, 2)
    maps = jax.image.resize(jnp.asarray(grid), (len(grid), *SIZE), "linear")
    return np.asarray(maps)[..., None]


def reference(method):
    zeros = [np.zeros((len(IMAGES), HEADS, TOKENS, TOKENS))] * 2
    _, matrices, _ = forward(IMAGES, zeros)
    rolled = np.eye(TOKENS)
    for i, matrix in enumerate(matrices):
        if method == "rollout":
            rolled = (matrix.mean(1) + np.eye(TOKENS)) / 2 @ rolled
            continue

        def score(step, i=i):
            added = [step if i == j else zeros[j] for j in range(2)]
            return forward(IMAGES, added)[0][np.arange(2), LABELS]

        gradient = slope(score, matrix.shape)
        rolled = rolled + np.maximum(gradient * matrix, 0).mean(1) @ rolled
    return upscaled(rolled[:, 0])


def explain(method, images=IMAGES, **options):
    with toys.float64():
        params = jax.tree.map(jnp.asarray, PARAMS)
        run = jax.jit(
            lambda params, x: method(
                lambda x: logits_fn(params, x), x, LABELS, grid=(2, 2), **options
            )
        )
        return run(params, jnp.asarray(images))


def test_two_tokens_and_one_head_by_hand():
    """Values 1 and 3, equal attention ½ of both: ∂ logit / ∂ A is the values."""

    def two_tokens(x):
        x = x.reshape(len(x), 2, 1)
        matrix = jax.nn.softmax(jnp.einsum("ntd,nsd->nts", 0 * x, x))
        mixed = jnp.einsum("nts,nsd->ntd", matrix, x)
        return mixed[:, 0] * jnp.array([[1.0, -1.0]])

    images, labels = jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1), jnp.array([0])
    # No class token: the mean of the rows (½ · ½ + ½ · [1, 0]) and (¼ + ½ · [0, 1]).
    maps = ja.attention_rollout(two_tokens, images, labels)
    np.testing.assert_allclose(maps.ravel(), [0.5, 0.5], rtol=1e-6)
    # With the first as class token ¼ is left for the other.
    maps = ja.attention_rollout(two_tokens, images, labels, grid=(1, 1))
    np.testing.assert_allclose(maps.ravel(), [0.25, 0.25], rtol=1e-6)
    # Only the first row is read: I + ½ [[1, 3], [0, 0]].
    maps = ja.attention_gradients(two_tokens, images, labels)
    np.testing.assert_allclose(maps.ravel(), [0.75, 1.25], rtol=1e-6)
    maps = ja.attention_gradients(two_tokens, images, labels, grid=(1, 1))
    np.testing.assert_allclose(maps.ravel(), [1.5, 1.5], rtol=1e-6)
    maps = ja.attention_gradients(two_tokens, images, jnp.array([1]), grid=(1, 1))
    np.testing.assert_array_equal(maps.ravel(), [0, 0])


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param("rollout", ja.attention_rollout, marks=pytest.mark.slow),
        ("gradients", ja.attention_gradients),
    ],
)
def test_against_numpy(name, method):
    expected = reference(name)
    np.testing.assert_allclose(explain(method), expected, rtol=1e-6)
    np.testing.assert_allclose(explain(method, batch_size=1), expected, rtol=1e-6)


def legrad_reference():
    zeros = [np.zeros((len(IMAGES), HEADS, TOKENS, TOKENS))] * 2
    maps = 0
    for i in range(2):

        def score(step, i=i):
            added = [step if i == j else zeros[j] for j in range(2)]
            tokens = forward(IMAGES, added)[2][i]
            return read_out(np, PARAMS, tokens)[np.arange(2), LABELS]

        maps = maps + np.maximum(slope(score, zeros[0].shape), 0).mean((1, 2)) / 2
    return upscaled(maps)


def test_legrad_against_numpy():
    expected = legrad_reference()
    np.testing.assert_allclose(explain(ja.legrad), expected, rtol=1e-6)
    named = explain(ja.legrad, layers=("block0", "block1"), batch_size=1)
    np.testing.assert_allclose(named, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        pytest.param(
            ("block1",),
            "layers: expected the names of what the 2 blocks",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("block1", "block0"), "layers: expected .* in order", marks=pytest.mark.slow
        ),
        (("block0", "blok1"), "layers: unknown 'blok1'.*block1"),
    ],
)
def test_legrad_refuses_other_layers_than_its_blocks(layers, message):
    with pytest.raises(ValueError, match=message):
        explain(ja.legrad, layers=layers)


@pytest.mark.slow
def test_an_image_alone_where_products_are_written_with_matmul():
    """``jnp.matmul`` leaves out an axis of size 1 between the softmax and the product."""

    def three_tokens(x):
        x = x.reshape(len(x), 3, 1)
        return jnp.sum(jax.nn.softmax(x @ x.mT) @ x, 1) * jnp.array([[1.0, -1.0]])

    images = jnp.array([[1.0, 3.0, 2.0], [0.0, 1.0, -1.0]]).reshape(2, 1, 3, 1)
    both, alone = (
        ja.attention_rollout(three_tokens, x, jnp.zeros(len(x), int))
        for x in (images, images[:1])
    )
    np.testing.assert_allclose(alone, both[:1], rtol=1e-6)


METHODS = [ja.attention_rollout, ja.attention_gradients, ja.legrad]


@pytest.mark.parametrize("method", quick(METHODS, "legrad"))
def test_vision_transformer_of_the_zoo_under_jit(method):
    with small_zoo.in_catalog():
        model = small_zoo.load("small_vit")
        images = toys.images(2, small_zoo.SIZE, small_zoo.SIZE)
        labels = jnp.argmax(model(images), -1)
        maps = jax.jit(method)(model, images, labels)
    assert maps.shape == images.shape
    assert maps.dtype == images.dtype
    assert np.isfinite(maps).all()
    assert np.ptp(maps) > 0


@pytest.mark.parametrize("method", METHODS)
def test_models_without_attention_among_all_tokens_are_refused(method):
    images, labels = jnp.ones((1, 4, 4, 3)), jnp.array([0])

    def without(x):
        return jax.nn.softmax(jnp.sum(x, (1, 2)))

    with pytest.raises(ValueError, match="logits_fn: expected a model with self-att"):
        method(without, images, labels)

    def cross(x):
        """Each of sixteen tokens is asked for by one that is a sum of all."""
        x = x.reshape(-1, 16, 3)
        query = jnp.sum(x, 1, keepdims=True)
        matrix = jax.nn.softmax(jnp.einsum("ntd,nsd->nts", query, x))
        return jnp.einsum("nts,nsd->ntd", matrix, x)[:, 0]

    with pytest.raises(ValueError, match=r"among all T tokens.*got \[1, 1, 16\]"):
        method(cross, images, labels)
