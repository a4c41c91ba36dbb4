"""Every step attack against its equations in a plain loop, and what all promise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxattr as ja
from jaxattr import _random, attacks, perturbations, steps
from jaxattr.attacks import block_transforms

KEY = jax.random.key(5)
H, W = 8, 7
PARAMS = toys.init_smooth(jax.random.key(2), H, W)
EPSILON, STEPS, SAMPLES = 16 / 255, 3, 4
ALPHA = EPSILON / STEPS
model = functools.partial(toys.smooth_logits, PARAMS)


def features(x):
    return jnp.tanh(x.reshape(len(x), -1) @ PARAMS["hidden"].astype(x.dtype))


def head(values):
    return values @ PARAMS["head"].astype(values.dtype)


SMALL = {
    "vmi_fgsm": {"num_samples": SAMPLES},
    "vni_fgsm": {"num_samples": SAMPLES},
    "ssa": {"num_samples": SAMPLES},
    "mig": {"num_points": SAMPLES},
    "gra": {"num_samples": SAMPLES},
    "pgn": {"num_samples": SAMPLES},
    "fgsra": {"num_samples": SAMPLES},
    "sia": {"num_samples": SAMPLES},
    "naa": {"features": features, "head": head, "num_points": SAMPLES},
}


def attack(name):
    return getattr(attacks, name)(**SMALL.get(name, {}))


@functools.cache
def compiled(name):
    def run(images, labels, keys):
        return attacks.run(
            attack(name), model, images, labels, key=keys, num_steps=STEPS
        )

    return jax.jit(run)


def place(keys, n):
    """Keys of the place of sample n: folded with it, then split from the map's."""
    return _random.split(_random.fold_in(keys, n), 2)[0]


def mean_size(g):
    return np.abs(g).mean((1, 2, 3), keepdims=True)


def cosine(a, b):
    dot, *squares = (
        (x * y).sum((1, 2, 3), keepdims=True) for x, y in ((a, b), (a, a), (b, b))
    )
    return dot / np.sqrt(squares[0] * squares[1])


def reference(name, images, labels, path_keys):
    """Where the attack ends, from its equations; the draws are replayed."""
    gradients = {
        score: jax.jit(jax.grad(lambda x, s=score: jnp.sum(s(model, labels)(x))))
        for score in (ja.scores.cross_entropy, ja.scores.logit)
    }
    gradient = lambda x: np.asarray(gradients[ja.scores.cross_entropy](jnp.asarray(x)))
    shape = images.shape[1:]
    uniform = lambda keys: np.asarray(_random.uniform(keys, shape, float, -1.0, 1.0))
    x, d = images.copy(), np.zeros_like(images)
    memory = {"v": 0.0, "M": np.full_like(images, 1 / 0.94), "sign": 0 * images}

    def neighbours(keys, at, beta):
        near = [at + beta * EPSILON * uniform(place(keys, n)) for n in range(SAMPLES)]
        return sum(map(gradient, near)) / SAMPLES

    def direction(keys):
        at = x + ALPHA * d if name in ("ni_fgsm", "si_ni_fgsm", "vni_fgsm") else x
        if name in ("fgsm", "bim"):
            return gradient(at)
        if name in ("mi_fgsm", "ni_fgsm"):
            g = gradient(at)
        elif name == "si_ni_fgsm":
            g = sum(gradient(at / 2**i) / 2**i for i in range(5)) / 5
        elif name in ("vmi_fgsm", "vni_fgsm"):
            plain = gradient(at)
            g = plain + memory["v"]
            memory["v"] = neighbours(keys, at, 1.5) - plain
        elif name == "ssa":
            copies = perturbations.spectral_copies(16 / 255, 0.5)(jnp.asarray(at))
            g = sum(gradient(copies(place(keys, n))) for n in range(SAMPLES)) / SAMPLES
            return g / mean_size(g)
        elif name == "mig":
            logit = gradients[ja.scores.logit]
            points = [jnp.asarray(at * i / SAMPLES) for i in range(1, SAMPLES + 1)]
            g = -at * sum(np.asarray(logit(p)) for p in points) / SAMPLES
        elif name == "gra":
            plain, mean = gradient(at), neighbours(keys, at, 3.5)
            s = cosine(plain, mean)
            g = s * plain + (1 - s) * mean
        elif name == "pgn":
            g = 0
            for n in range(SAMPLES):
                near = at + 3 * EPSILON * uniform(_random.fold_in(keys, n))
                first = gradient(near)
                second = gradient(near - ALPHA * first / mean_size(first))
                g = g + 0.5 * (first + second) / SAMPLES
        elif name == "di_fgsm":
            through = _random.split(_random.fold_in(keys, 0), 2)[1]
            diverse = perturbations.input_diversity(0.5, 1.1)
            score = ja.scores.cross_entropy(model, labels)
            mapped = lambda x: jnp.sum(score(diverse(x)(through)))
            g = np.asarray(jax.grad(mapped)(jnp.asarray(at)))
        elif name == "ti_fgsm":
            kernel = steps.gaussian_kernel(15)
            g = np.asarray(steps.convolve_separable(jnp.asarray(gradient(at)), kernel))
        return d + g / mean_size(g)

    step_size, num_steps = (EPSILON, 1) if name == "fgsm" else (ALPHA, STEPS)
    for t in range(num_steps):
        d = direction(_random.fold_in(path_keys, t))
        scale = 1.0
        if name == "gra":
            turned = np.sign(d) != memory["sign"]
            memory["M"] = memory["M"] * np.where(turned, 0.94, 1.0)
            memory["sign"], scale = np.sign(d), memory["M"]
        x = x + step_size * scale * np.sign(d)
        x = np.clip(images + np.clip(x - images, -EPSILON, EPSILON), 0, 1)
    return x


@pytest.mark.parametrize(
    "name",
    [
        *("fgsm", "bim", "mi_fgsm", "ni_fgsm", "si_ni_fgsm", "vmi_fgsm", "vni_fgsm"),
        *("ssa", "mig", "gra", "pgn", "di_fgsm", "ti_fgsm"),
    ],
)
def test_against_the_equations_in_a_loop(name):
    with toys.float64():
        images = toys.images(2, H, W, dtype=jnp.float64)
        labels, keys = jnp.argmax(model(images), -1), jax.random.split(KEY, 2)
        result = compiled(name)(images, labels, keys)
        expected = reference(name, np.asarray(images), labels, keys)
        np.testing.assert_allclose(result.images, expected, atol=1e-9)


@pytest.mark.parametrize("name", attacks.names())
def test_budget_bounds_success_and_that_the_loss_rises(name):
    images = jnp.clip(toys.images(3, H, W) * 1.4 - 0.2, 0, 1)
    labels, keys = jnp.argmax(model(images), -1), jax.random.split(KEY, 3)
    result = compiled(name)(images, labels, keys)
    delta = np.asarray(result.images - images)
    assert np.abs(delta).max() <= EPSILON + 1e-7
    assert result.images.min() >= 0
    assert result.images.max() <= 1
    np.testing.assert_array_equal(
        result.success, jnp.argmax(model(result.images), -1) != labels
    )
    norms = np.sqrt((delta.astype(float) ** 2).sum((1, 2, 3)))
    np.testing.assert_allclose(result.distances, norms, rtol=1e-5)
    loss = ja.scores.cross_entropy(model, labels)
    assert (loss(result.images) > loss(images)).all()


@pytest.mark.parametrize("name", ["pgd", "gra", "naa"])
def test_alone_equals_in_a_batch(name):
    images, keys = toys.images(3, H, W), jax.random.split(KEY, 3)
    labels = jnp.argmax(model(images), -1)
    batch = compiled(name)(images, labels, keys)
    alone = compiled(name)(images[1:2], labels[1:2], keys[1:2])
    np.testing.assert_allclose(alone.images[0], batch.images[1], atol=1e-6)


def test_relevance_golden_case():
    """g = (1, 0), ḡ = (1, 1): s = 0.70711, c = (1, 0.29289)."""
    g = jnp.array([1.0, 0.0]).reshape(1, 1, 2, 1)
    mean = jnp.array([1.0, 1.0]).reshape(1, 1, 2, 1)
    rule = steps.weigh_by_relevance()
    combined, _ = rule.update((g, mean), rule.init(g))
    np.testing.assert_allclose(combined.ravel(), [1.0, 0.29289], atol=1e-5)


def test_steps_shrink_where_the_sign_turns_and_the_first_is_whole():
    rule = steps.decaying_sign_step(0.5, 0.9)
    d = jnp.array([1.0, -2.0]).reshape(1, 1, 2, 1)
    first, state = rule.update(d, rule.init(d))
    np.testing.assert_allclose(first.ravel(), [0.5, -0.5], rtol=1e-6)
    second, _ = rule.update(d * jnp.array([1.0, -1.0]).reshape(1, 1, 2, 1), state)
    np.testing.assert_allclose(second.ravel(), [0.5, 0.45], rtol=1e-6)


def test_block_transforms_permute_scale_or_disturb():
    """Five of seven operations move values unchanged; noise stays within its bound."""
    transform = block_transforms.block_transforms(2, noise=0.01)
    image = toys.images(1, 9, 8, 1)
    keys = jax.random.split(KEY, 100)[:, None]
    draws = np.asarray(jax.jit(lambda x, k: transform(x)(k))(image, keys))[:, 0, ..., 0]
    original = np.asarray(image)[0, ..., 0]
    own = np.isin(draws, original)
    assert 0.55 < own.mean() < 0.85
    assert (~own & (np.abs(draws - original) <= 0.0101)).any()


def test_misuse():
    run = functools.partial(attacks.run, logits_fn=model)
    given = {"images": toys.images(3, H, W), "labels": toys.labels()}
    for arguments, message in [
        ({"attack": "mi_fgms"}, "attack: unknown 'mi_fgms'; did you mean mi_fgsm"),
        ({"attack": "naa", "key": KEY}, "naa: expected a model split in two"),
        ({"attack": "gra"}, "key: .*needs a typed key"),
        ({"attack": "bim", "epsilon": -0.1}, "epsilon: expected a number of at least"),
        ({"attack": "bim", "num_steps": 0}, "num_steps: expected an integer"),
        ({"attack": "mig", "score": ja.scores.margin}, "score: this attack lowers"),
    ]:
        with pytest.raises(ValueError, match=message):
            run(**arguments, **given)


SHARDED = [
    name if name == "sia" else pytest.param(name, marks=pytest.mark.slow)
    for name in sorted({*attacks.names()} - {"naa"})
]


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("name", SHARDED)
def test_sharded_equals_unsharded(name, axis_type):
    images, labels = toys.images(4, H, W), jnp.arange(4) % 3
    keys = jax.random.split(KEY, 4)
    expected = compiled(name)(images, labels, keys).images
    mesh = jax.make_mesh((4,), ("devices",), axis_types=(axis_type,))
    spread = NamedSharding(mesh, PartitionSpec("devices"))
    with jax.set_mesh(mesh):
        given = jax.device_put((images, labels, keys), spread)
        actual = compiled(name)(*given).images
    np.testing.assert_allclose(actual, expected, atol=1e-6)
