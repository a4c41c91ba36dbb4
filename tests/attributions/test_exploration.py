"""MFABA, AGI, AttEXplore++ and FAMPE against loops and closed forms."""

import functools
import inspect

import attack_loops
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja

KEY = jax.random.key(11)
PARAMS = toys.init_smooth(jax.random.key(2), 8, 7)
model = functools.partial(toys.smooth_logits, PARAMS)
EPSILON = 16 / 255


@functools.cache
def gradient_of(label):
    score = lambda x: ja.scores.probability(model, jnp.array([label]))(x[None])[0]
    return jax.jit(jax.grad(score))


def prediction(x):
    return int(jnp.argmax(model(jnp.asarray(x)[None])[0]))


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("step", ["sign", "normalized"])
def test_mfaba_against_a_loop(step, accumulate):
    with toys.float64():
        images = toys.images(3, 8, 7, dtype=jnp.float64)
        labels = jnp.argmax(model(images), -1).at[2].add(1) % 4
        given = {"step": step, "accumulate": accumulate}
        maps = ja.mfaba(model, images, labels, num_steps=12, step_size=0.02, **given)
        stopped = []
        for image, label, actual in zip(images, labels, maps, strict=True):
            x0 = x = np.asarray(image)
            expected, total = np.zeros_like(x), 0
            for _ in range(12):
                if prediction(x) != label:
                    break
                g = np.asarray(gradient_of(int(label))(x))
                g = total = total + g if accumulate else g
                if step == "sign":
                    moved = x0 + np.clip(x - 0.02 * np.sign(g) - x0, -0.3, 0.3)
                else:
                    moved = x - 2.0 * g / np.sqrt((g**2).sum())
                moved = np.clip(moved, 0, 1)
                expected -= (moved - x) * g
                x = moved
            stopped.append(prediction(x) != label)
            np.testing.assert_allclose(actual, expected, atol=1e-10)
        assert any(stopped)
        np.testing.assert_array_equal(maps[2], 0)


@pytest.mark.parametrize("origin", ["image", "current"])
def test_agi_against_a_loop(origin):
    with toys.float64():
        images = toys.images(2, 8, 7, dtype=jnp.float64)
        labels, keys = jnp.argmax(model(images), -1), jax.random.split(KEY, 2)
        maps = ja.agi(
            model, images, labels, key=keys, num_targets=2, num_steps=4, origin=origin
        )
        for image, label, key, actual in zip(images, labels, keys, maps, strict=True):
            expected = np.zeros_like(image)
            others = [k for k in range(4) if k != label]
            for drawn in jax.random.permutation(key, 3)[:2]:
                target, x0 = others[int(drawn)], np.asarray(image)
                x = x0
                for _ in range(4):
                    if prediction(x) == target:
                        break
                    base = x0 if origin == "image" else x
                    toward = np.sign(gradient_of(target)(x))
                    moved = np.clip(base + 0.05 * toward, 0, 1)
                    expected -= np.asarray(gradient_of(int(label))(x)) * (moved - base)
                    x = moved
            np.testing.assert_allclose(actual, expected, atol=1e-10)


def test_agi_of_an_image_does_not_depend_on_its_batch():
    """The released batch code sums the classes of a batch."""
    images, keys = toys.images(3, 8, 7), jax.random.split(KEY, 3)
    labels = jnp.argmax(model(images), -1)
    run = functools.partial(ja.agi, model, num_targets=2, num_steps=3)
    batch = run(images, labels, key=keys)
    alone = run(images[:1], labels[:1], key=keys[:1])
    np.testing.assert_allclose(alone[0], batch[0], atol=1e-7)


@pytest.mark.parametrize("name", ["attexplore", "fampe"])
def test_attexplore_pp_with_an_explainer_s_attack_is_the_explainer(name):
    images, labels = toys.images(2, 8, 7), toys.labels(2)
    given = {"key": KEY, "num_steps": 3}
    own = getattr(ja.attacks, name)(num_samples=3)
    np.testing.assert_array_equal(
        ja.attexplore_pp(model, images, labels, attack=own, **given),
        getattr(ja, name)(model, images, labels, num_samples=3, **given),
    )


@pytest.mark.parametrize("name", ["attexplore", "fampe"])
def test_an_explainer_has_the_options_of_its_attack(name):
    of_attack = inspect.signature(getattr(ja.attacks, name)).parameters
    of_explainer = inspect.signature(getattr(ja, name)).parameters
    for option, parameter in of_attack.items():
        assert of_explainer[option].default == parameter.default, option


@pytest.mark.parametrize("direction", ["ascend", "descend"])
def test_plain_gradient_of_a_linear_score_in_closed_form(direction):
    """ε |w| whatever the number of steps, where the box does not bind."""
    logits_fn, weights = toys.linear()
    images, labels = toys.images() * 0.5 + 0.25, toys.labels()
    w = np.abs(np.moveaxis(np.asarray(weights)[..., labels], -1, 0))
    for num_steps in (1, 5):
        maps = ja.attexplore_pp(
            logits_fn,
            images,
            labels,
            key=KEY,
            attack="mi_fgsm",
            num_steps=num_steps,
            direction=direction,
            integrand="gradient",
            score=ja.scores.logit,
        )
        np.testing.assert_allclose(maps, EPSILON * w, rtol=1e-4)


@pytest.mark.parametrize("integrand", ["direction", "gradient"])
@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("pgd", "ascend"),
        ("gra", "descend"),
        pytest.param("fgsra", "ascend", marks=pytest.mark.slow),
        pytest.param("sia", "descend", marks=pytest.mark.slow),
        ("naa", "ascend"),
    ],
)
def test_both_integrands_of_attexplore_pp_against_a_loop(name, direction, integrand):
    with toys.float64():
        images, labels, keys = smooth_problem()
        maps = ja.attexplore_pp(
            attack_loops.model,
            images,
            labels,
            key=keys,
            num_steps=attack_loops.STEPS,
            attack=attack_loops.attack(name),
            direction=direction,
            integrand=integrand,
        )
        followed = loop(name, direction)
        expected = getattr(followed, integrand)
        atol = 1e-6 * np.abs(expected).max()
        np.testing.assert_allclose(maps, expected, atol=atol)


@pytest.mark.parametrize("direction", ["ascend", "descend"])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.9])
def test_fampe_against_a_loop(alpha, direction):
    """All its randomness is on but for input diversity."""
    with toys.float64():
        images, labels, keys = smooth_problem()
        options = {"alpha": alpha, "diversity_probability": 0.0}
        maps = ja.fampe(
            attack_loops.model,
            images,
            labels,
            key=keys,
            num_steps=attack_loops.STEPS,
            num_samples=attack_loops.SAMPLES,
            direction=direction,
            **options,
        )
        expected = loop("fampe", direction, **options).direction
        np.testing.assert_allclose(maps, expected, atol=1e-6 * expected.max())


def smooth_problem():
    """Images that have frequencies on both sides of their cutoff."""
    h, w = attack_loops.H, attack_loops.W
    images = jnp.cumsum(toys.images(2, h, w, dtype=jnp.float64), axis=1) / h
    labels = jnp.argmax(attack_loops.model(images), -1)
    return images, labels, jax.random.split(KEY, 2)


@functools.cache
def loop(name, direction, **options):
    sign = {"ascend": 1, "descend": -1}[direction]
    return attack_loops.follow(name, *smooth_problem(), sign=sign, **options)


@pytest.mark.parametrize("name", ["pgd", "mig"])
def test_an_attack_keeps_its_own_start_and_step_as_an_explorer(name):
    images, labels = toys.images(2, 8, 7), toys.labels(2)
    given = {"key": KEY, "num_steps": 3}
    maps, plain = (
        ja.attexplore_pp(model, images, labels, attack=attack, **given)
        for attack in (name, "bim")
    )
    assert float(jnp.abs(maps - plain).max()) > 0
    assert maps.min() >= 0


def test_fampe_at_one_half_is_its_all_pass_twin_to_the_bit():
    """W = 1 everywhere: the cutoff no longer matters."""
    images, labels = toys.images(2, 8, 7), toys.labels(2)
    run = functools.partial(
        ja.fampe, model, images, labels, key=KEY, num_steps=2, num_samples=3
    )
    twin = run(alpha=0.5, cutoff=1000)
    np.testing.assert_array_equal(run(alpha=0.5), twin)
    assert float(jnp.abs(run(alpha=0.1) - twin).max()) > 0


def test_fampe_without_randomness_is_attexplore_without_randomness():
    quiet = {
        "key": KEY,
        "sigma": 0.0,
        "rho": 0.0,
        "diversity_probability": 0.0,
        "num_samples": 1,
        "num_steps": 3,
    }
    with toys.float64():
        images, labels = toys.images(2, 8, 7, dtype=jnp.float64), toys.labels(2)
        expected = ja.attexplore(model, images, labels, **quiet)
        for transform in ("fft", "dct"):
            actual = ja.fampe(model, images, labels, transform=transform, **quiet)
            np.testing.assert_allclose(actual, expected, atol=1e-6 * expected.max())


@pytest.mark.parametrize("cutoff", ["step", 3])
def test_the_attack_of_fampe_by_itself_is_what_fampe_follows(cutoff):
    images, labels = toys.images(2, 8, 7), toys.labels(2)
    given = {"key": KEY, "num_steps": 2}
    switches = {"alpha_on": "high", "transform": "dct", "perturb": "noise"}
    options = {"alpha": 0.3, "num_samples": 2, "cutoff": cutoff, **switches}
    np.testing.assert_array_equal(
        ja.attexplore_pp(
            model, images, labels, attack=ja.attacks.fampe(**options), **given
        ),
        ja.fampe(model, images, labels, **options, **given),
    )


def test_misuse():
    given = (model, toys.images(3, 8, 7), toys.labels())
    for method, options, message in [
        (
            ja.attexplore_pp,
            {"attack": "grra"},
            "attack: unknown 'grra'; did you mean gra",
        ),
        (ja.attexplore_pp, {"integrand": "x"}, "integrand: unknown 'x'"),
        (
            ja.agi,
            {"num_targets": 4},
            "num_targets: expected fewer targets than classes",
        ),
        (ja.agi, {"origin": "x"}, "origin: unknown 'x'"),
        (ja.mfaba, {"step": "x"}, "step: unknown 'x'"),
        (ja.fampe, {"alpha": 2.0}, "alpha: expected a number between 0 and 1"),
        (ja.fampe, {"cutoff": None}, "cutoff: expected a number"),
        (ja.fampe, {"transform": "x"}, "transform: unknown 'x'"),
    ]:
        with pytest.raises(ValueError, match=message):
            method(*given, key=KEY, **options)
