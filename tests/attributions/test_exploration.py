"""AttEXplore++ and FAMPE against loops and closed forms."""

import functools
import inspect

import attack_loops
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja

KEY = jax.random.key(11)
PARAMS = toys.init_smooth(jax.random.key(2), 8, 7)
model = functools.partial(toys.smooth_logits, PARAMS)
EPSILON = 16 / 255


@pytest.mark.slow
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


@pytest.mark.parametrize("integrand", quick(["direction", "gradient"], "gradient"))
@pytest.mark.parametrize(
    ("name", "direction"),
    [
        pytest.param("pgd", "ascend", marks=pytest.mark.slow),
        ("gra", "descend"),
        pytest.param("fgsra", "ascend", marks=pytest.mark.slow),
        pytest.param("sia", "descend", marks=pytest.mark.slow),
        pytest.param("naa", "ascend", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
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


@pytest.mark.parametrize("direction", quick(["ascend", "descend"], "descend"))
@pytest.mark.parametrize("alpha", quick([0.0, 0.1, 0.5, 0.9], 0.1))
def test_fampe_against_a_loop(alpha, direction):
    """All its randomness is on but for input diversity."""
    with toys.float64():
        images, labels, keys = smooth_problem()
        options = {"alpha": alpha, "diversity_probability": 0.0}
        run = functools.partial(
            ja.fampe,
            attack_loops.model,
            num_steps=attack_loops.STEPS,
            num_samples=attack_loops.SAMPLES,
            direction=direction,
            **options,
        )
        maps = jax.jit(lambda x, y, keys: run(x, y, key=keys))(images, labels, keys)
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


@pytest.mark.slow
def test_fampe_at_one_half_is_its_all_pass_twin_to_the_bit():
    """W = 1 everywhere: the cutoff no longer matters."""
    images, labels = toys.images(2, 8, 7), toys.labels(2)
    run = functools.partial(
        ja.fampe, model, images, labels, key=KEY, num_steps=2, num_samples=3
    )
    twin = run(alpha=0.5, cutoff=1000)
    np.testing.assert_array_equal(run(alpha=0.5), twin)
    assert float(jnp.abs(run(alpha=0.1) - twin).max()) > 0


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("cutoff", quick(["step", 3], "step"))
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
