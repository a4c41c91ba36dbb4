"""Maps of attention in windows against numbers worked by hand and full matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_zoo
import toys

import jaxattr as ja
from jaxattr.attributions import places

METHODS = [ja.attention_rollout, ja.attention_gradients, ja.legrad]

# Two windows of two tokens, by hand: the same matrix in both, then windows that are
# shifted by one place. (M + I) / 2 is [[5, 3], [2, 6]] / 8.
MATRIX = np.array([[0.25, 0.75], [0.5, 0.5]])
FOUR = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 5.0, 7.0]]).reshape(2, 1, 4, 1)


def attend_by_hand(windows):
    """Windows ``(..., 2, 1)``."""
    logits = 0 * windows @ windows.mT
    matrix = jax.nn.softmax(logits + jnp.broadcast_to(jnp.log(MATRIX), logits.shape))
    return windows + matrix @ windows


def as_an_axis(x):
    n = len(x)
    return attend_by_hand(x.reshape(n, 2, 2, 1)).reshape(n, 1, 4, 1)


def with_images(x):
    return attend_by_hand(x.reshape(-1, 2, 1)).reshape(-1, 1, 4, 1)


def before_images(x):
    windows = x.reshape(-1, 2, 2, 1).swapaxes(0, 1).reshape(-1, 2, 1)
    result = attend_by_hand(windows).reshape(2, -1, 2, 1)
    return result.swapaxes(0, 1).reshape(-1, 1, 4, 1)


def reversed_before(x):
    """The same matrix between places in the other order."""
    return with_images(x[:, :, ::-1])[:, :, ::-1]


def shifted(block, x):
    return jnp.roll(block(jnp.roll(x, -1, 2)), 1, 2)


@pytest.mark.parametrize("block", [as_an_axis, with_images, before_images])
def test_two_windows_of_two_tokens_by_hand(block):
    def logits_fn(x):
        x = shifted(block, block(x))
        return jnp.sum(x, (1, 2)) * jnp.array([[1.0, -1.0]])

    maps = jax.jit(lambda x: ja.attention_rollout(logits_fn, x, jnp.array([0, 1])))(
        jnp.asarray(FOUR, jnp.float32)
    )
    # The mean of rows, ¼ each: the shifted windows make of it [9, 7, 9, 7] / 32.
    expected = np.array([59, 69, 59, 69]) / 256
    np.testing.assert_allclose(maps[:, 0, :, 0], [expected, expected], rtol=1e-6)
    np.testing.assert_allclose(maps.sum((1, 2, 3)), 1, rtol=1e-6)


def test_windows_in_the_other_order_and_by_gather():
    labels = jnp.array([0, 1])

    def rollout(block):
        def logits_fn(x):
            return jnp.sum(block(x), (1, 2)) * jnp.array([[1.0, -1.0]])

        return jax.jit(lambda x: ja.attention_rollout(logits_fn, x, labels))(
            jnp.asarray(FOUR, jnp.float32)
        )[:, 0, :, 0]

    # Columns of [[5, 3], [2, 6]] / 8 sum to 7 and 9, here from the right.
    expected = np.broadcast_to(np.array([9, 7, 9, 7]) / 32, (2, 4))
    np.testing.assert_allclose(rollout(reversed_before), expected, rtol=1e-6)

    def crosswise(x):  # [0, 2] and [1, 3]
        order = jnp.array([0, 2, 1, 3])
        return with_images(x[:, :, order])[:, :, order]

    expected = np.broadcast_to(np.array([7, 7, 9, 9]) / 32, (2, 4))
    np.testing.assert_allclose(rollout(crosswise), expected, rtol=1e-6)


# Two stages of two blocks, the second of each with shifted windows, as Swin has them.
# Here they are cut; the reference has a matrix among all places, of which a mask leaves
# the windows.

SIZE = (8, 16)
GRIDS = (4, 8), (2, 4)
SHIFTS = (0, 1), (0, 1)
WIDTHS, HEADS, WINDOW, CLASSES = (4, 6), 2, 2, 3
LABELS = np.array([2, 0])
IMAGES = np.random.default_rng(1).uniform(size=(2, *SIZE, 1))


def draw():
    random = np.random.default_rng(0)
    return {
        "patches": random.normal(size=(4, WIDTHS[0])),
        "merge": random.normal(size=(4 * WIDTHS[0], WIDTHS[1])) / 2,
        "head": random.normal(size=(WIDTHS[1], CLASSES)),
        "blocks": [
            [
                {
                    "qkv": random.normal(size=(width, 3 * width)) / 2,
                    "out": random.normal(size=(width, width)),
                }
                for _ in range(2)
            ]
            for width in WIDTHS
        ],
    }


PARAMS = draw()


def patches(x, size=2):
    n, height, width, channels = x.shape
    x = x.reshape(n, height // size, size, width // size, size, channels)
    return x.swapaxes(2, 3).reshape(n, height // size, width // size, -1)


def heads_of(x, block):
    n, tokens, channels = x.shape
    qkv = (x @ block["qkv"]).reshape(n, tokens, 3, HEADS, channels // HEADS)
    return (qkv[:, :, i] for i in range(3))


def attend(block, x, shift):
    """Features ``(N, h, w, C)`` in windows."""
    n, height, width, channels = x.shape
    tokens = jnp.roll(x, (-shift, -shift), (1, 2))
    tokens = patches(tokens, WINDOW).reshape(-1, WINDOW**2, channels)
    query, key, value = heads_of(tokens, block)
    matrix = jax.nn.softmax(jnp.einsum("nthd,nshd->nhts", query, key))
    mixed = jnp.einsum("nhts,nshd->nthd", matrix, value).reshape(tokens.shape)
    mixed = mixed.reshape(n, height // WINDOW, width // WINDOW, WINDOW, WINDOW, -1)
    mixed = mixed.swapaxes(2, 3).reshape(x.shape)
    mixed = jnp.roll(mixed, (shift, shift), (1, 2))
    return x + jnp.tanh(mixed @ block["out"])


def logits_fn(params, images):
    x = patches(images) @ params["patches"]
    for stage, blocks in enumerate(params["blocks"]):
        if stage:
            corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
            x = jnp.concatenate(corners, -1) @ params["merge"]
        for i, (block, shift) in enumerate(zip(blocks, SHIFTS[stage], strict=True)):
            with jax.named_scope(f"stage{stage}.block{i}"):
                x = attend(block, x, shift)
    return jnp.tanh(x.mean((1, 2))) @ params["head"]


def same_window(grid, shift):
    """Of all pairs of places, row by row, which are in one window."""
    row, column = (i.ravel() for i in np.indices(grid))
    window = [
        (i - shift) % n // WINDOW for i, n in zip((row, column), grid, strict=True)
    ]
    return np.logical_and(*(w[:, None] == w for w in window))


MASKS = [
    same_window(grid, shift)
    for grid, shifts in zip(GRIDS, SHIFTS, strict=True)
    for shift in shifts
]


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def read_out(x):
    return (np.tanh(x.mean(1)) @ PARAMS["head"])[np.arange(2), LABELS]


def forward(added):
    """The score, the full matrices and what the blocks return, tokens ``(N, T, C)``."""
    x, matrices, results = patches(IMAGES) @ PARAMS["patches"], [], []
    x = x.reshape(2, -1, WIDTHS[0])
    for stage, blocks in enumerate(PARAMS["blocks"]):
        if stage:
            x = x.reshape(2, GRIDS[1][0], 2, GRIDS[1][1], 2, -1)
            x = x.transpose(0, 1, 3, 2, 4, 5).reshape(2, -1, 4 * WIDTHS[0])
            x = x @ PARAMS["merge"]
        for block in blocks:
            query, key, value = heads_of(x, block)
            logits = np.einsum("nthd,nshd->nhts", query, key)
            matrix = softmax(np.where(MASKS[len(matrices)], logits, -np.inf))
            matrix = matrix + added[len(matrices)]
            mixed = np.einsum("nhts,nshd->nthd", matrix, value).reshape(x.shape)
            x = x + np.tanh(mixed @ block["out"])
            matrices.append(matrix)
            results.append(x)
    return read_out(x), matrices, results


def slope(function, mask, h=1e-5):
    """The derivative by each entry in a window of a full matrix of zeros."""
    shape = (2, HEADS, *mask.shape)
    found = np.zeros(shape)
    for head in range(HEADS):
        for query, key in np.argwhere(mask):
            step = np.zeros(shape)
            step[:, head, query, key] = h
            found[:, head, query, key] = (function(step) - function(-step)) / (2 * h)
    return found


def slopes(function, blocks):
    """Of ``(score, results)`` of the network, by the matrix of each block."""
    zeros = [0.0] * 4

    def at(i, step):
        score, _, results = forward([step if i == j else zeros[j] for j in range(4)])
        return function(score, results, i)

    return {i: slope(lambda s, i=i: at(i, s), MASKS[i]) for i in blocks}


def covered():
    """``(coarse places, fine places)``, a quarter for each that it covers."""
    (rows, columns), (_, fine) = GRIDS[1], GRIDS[0]
    found = np.zeros((rows * columns, 4 * rows * columns))
    for row, column in np.ndindex(2 * rows, fine):
        found[row // 2 * columns + column // 2, row * fine + column] = 1 / 4
    return found


def reference(name):
    _, matrices, _ = forward([0.0] * 4)
    if name == "legrad":
        found = slopes(lambda _, results, i: read_out(results[i]), (2, 3))
        maps = sum(np.maximum(s, 0).mean((1, 2)) for s in found.values()) / 2
        return upscaled(maps, GRIDS[1])
    if name == "gradients":
        found = slopes(lambda score, *_: score, range(4))
        steps = [
            np.eye(len(m)) + np.maximum(found[i] * matrices[i], 0).mean(1)
            for i, m in enumerate(MASKS)
        ]
    else:
        steps = [
            (m.mean(1) + np.eye(len(mask))) / 2
            for m, mask in zip(matrices, MASKS, strict=True)
        ]
    rolled = steps[3] @ steps[2] @ covered() @ steps[1] @ steps[0]
    return upscaled(rolled.mean(1), GRIDS[0])


def upscaled(row, grid):
    maps = jnp.asarray(row.reshape(-1, *grid))
    return np.asarray(jax.image.resize(maps, (2, *SIZE), "linear"))[..., None]


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param("rollout", ja.attention_rollout, marks=pytest.mark.slow),
        pytest.param("gradients", ja.attention_gradients, marks=pytest.mark.slow),
        ("legrad", ja.legrad),
    ],
    ids=("rollout", "gradients", "legrad"),
)
@pytest.mark.slow
def test_two_stages_with_shifted_windows_against_full_matrices(name, method):
    with toys.float64():
        params = jax.tree.map(jnp.asarray, PARAMS)
        images = jnp.asarray(IMAGES)
        expected = forward([0.0] * 4)[0]
        found = logits_fn(params, images)[np.arange(2), LABELS]
        np.testing.assert_allclose(found, expected, rtol=1e-12)

        def explain(params, images, **options):
            return method(lambda x: logits_fn(params, x), images, LABELS, **options)

        maps = jax.jit(explain)(params, images)
        np.testing.assert_allclose(maps, reference(name), rtol=1e-6)


@pytest.mark.slow
def test_legrad_by_names_takes_the_last_blocks_alone():
    def explain(**options):
        params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), PARAMS)
        images = jnp.asarray(IMAGES, jnp.float32)
        return ja.legrad(lambda x: logits_fn(params, x), images, LABELS, **options)

    names = ("stage1.block0", "stage1.block1")
    np.testing.assert_array_equal(explain(layers=names), explain())
    for wrong in (names[::-1], ("stage0.block1", *names), names[:1], ()):
        with pytest.raises(
            ValueError, match="layers: expected the names of what the l"
        ):
            explain(layers=wrong)
    with pytest.raises(ValueError, match=r"grid: expected \(2, 4\)"):
        explain(grid=(4, 8))


def test_shares_of_places_are_divided_among_those_that_they_cover():
    coarse = jnp.arange(6.0).reshape(1, 6)
    fine = places.shared(coarse, (2, 3), (4, 6)).reshape(4, 6)
    expected = np.arange(6).reshape(2, 3).repeat(2, 0).repeat(2, 1) / 4
    np.testing.assert_allclose(fine, expected, rtol=1e-6)
    # Two places in three: of the middle one each half.
    odd = places.shared(jnp.array([[2.0, 4.0]]), (1, 2), (1, 3))
    np.testing.assert_allclose(odd, [[4 / 3, 2, 8 / 3]], rtol=1e-6)
    for grid in ((1, 1), (3, 4), (5, 7)):
        total = places.shared(coarse, (2, 3), grid).sum()
        np.testing.assert_allclose(total, 15, rtol=1e-6)


def mixed_before(x):
    """Windows whose tokens are mixtures of others."""
    windows = jnp.einsum("st,ntd->nsd", MATRIX.astype(np.float32), x.reshape(-1, 2, 1))
    return attend_by_hand(windows)


def padded(x):
    return attend_by_hand(
        jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0))).reshape(-1, 2, 1)
    )


def other_queries(x):
    """Each window is asked by one token, the mean of all."""
    windows = x.reshape(-1, 2, 1)
    matrix = jax.nn.softmax(jnp.mean(x, (1, 2)).repeat(2, 0)[:, None] @ windows.mT)
    return matrix @ windows


def only_the_first(x):
    return attend_by_hand(x[:, 0, :2])


@pytest.mark.parametrize("block", [mixed_before, padded, other_queries, only_the_first])
def test_tokens_that_are_not_the_places_are_refused(block):
    def logits_fn(x):
        found = jnp.sum(block(with_images(x)).reshape(len(x), -1), 1, keepdims=True)
        return found * jnp.array([[1.0, -1.0]])

    images = jnp.asarray(FOUR, jnp.float32)
    message = r"logits_fn: expected attention .* or in windows .*; got \["
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(
            lambda x: ja.attention_rollout(logits_fn, x, jnp.array([0, 1])), images
        )


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_maxvit_of_the_zoo_under_jit(method):
    with small_zoo.in_catalog():
        model = small_zoo.load("small_maxvit")
        images = toys.images(2, small_zoo.SIZE, small_zoo.SIZE)
        labels = jnp.argmax(model(images), -1)
        maps = jax.jit(method)(model, images, labels)
    assert maps.shape == images.shape
    assert maps.dtype == images.dtype
    assert np.isfinite(maps).all()
    assert np.ptp(maps) > 0
