"""Every step attack against its equations in a plain loop, and what all promise."""

import functools
import types

import attack_loops
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from attack_loops import EPSILON, STEPS, H, W, attack, model
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from quick import quick

import jaxattr as ja
from jaxattr import attacks

KEY = jax.random.key(5)


@functools.cache
def compiled(name):
    def run(images, labels, keys):
        return attacks.run(
            attack(name), model, images, labels, key=keys, num_steps=STEPS
        )

    return jax.jit(run)


@functools.cache
def in_a_loop(name):
    images = toys.images(2, H, W, dtype=jnp.float64)
    labels, keys = jnp.argmax(model(images), -1), jax.random.split(KEY, 2)
    return images, labels, keys, attack_loops.follow(name, images, labels, keys)


# The paths of attexplore and fampe are held as explainers, too.
# A random start, momentum that looks ahead, copies, a path, and a smoothed gradient.
KEPT = ("pgd", "ni_fgsm", "gra", "mig", "ti_fgsm")


@pytest.mark.parametrize("name", quick(attacks.names(), *KEPT))
def test_against_the_equations_in_a_loop(name):
    with toys.float64():
        images, labels, keys, expected = in_a_loop(name)
        result = compiled(name)(images, labels, keys)
        np.testing.assert_allclose(result.images, expected.images, atol=1e-9)


@pytest.mark.parametrize("name", quick(attacks.names(), "ni_fgsm", "gra"))
def test_the_map_along_its_path_against_the_equations_in_a_loop(name):
    """It sees more than signs."""
    explore = jax.jit(
        functools.partial(
            ja.attexplore_pp,
            model,
            attack=attack(name),
            num_steps=STEPS,
            direction="ascend",
        )
    )
    with toys.float64():
        images, labels, keys, expected = in_a_loop(name)
        maps, atol = explore(images, labels, key=keys), 1e-6 * expected.direction.max()
        np.testing.assert_allclose(maps, expected.direction, atol=atol)


@pytest.mark.parametrize("name", quick(attacks.names(), *KEPT))
def test_budget_bounds_success_and_that_the_loss_rises(name):
    with toys.float64():  # of the shapes above, whose programs are there
        images = toys.images(2, H, W, dtype=jnp.float64)
        images = jnp.clip(images * 1.4 - 0.2, 0, 1)
        labels, keys = jnp.argmax(model(images), -1), jax.random.split(KEY, 2)
        result = compiled(name)(images, labels, keys)
        delta = np.asarray(result.images - images)
        assert np.abs(delta).max() <= EPSILON + 1e-7
        assert result.images.min() >= 0
        assert result.images.max() <= 1
        np.testing.assert_array_equal(
            result.success, jnp.argmax(model(result.images), -1) != labels
        )
        norms = np.sqrt((delta**2).sum((1, 2, 3)))
        np.testing.assert_allclose(result.distances, norms, rtol=1e-5)
        loss = ja.scores.cross_entropy(model, labels)
        assert (loss(result.images) > loss(images)).all()


@pytest.mark.slow
def test_naa_by_name_takes_the_halves_of_the_model():
    images, labels = toys.images(2, H, W), toys.labels(2)
    given = {"key": KEY, "num_steps": 2}
    by_name = attacks.run("naa", model, images, labels, **given)
    own = attacks.naa(model.features, model.head)
    expected = attacks.run(own, model, images, labels, **given)
    np.testing.assert_array_equal(by_name.images, expected.images)


@pytest.mark.parametrize("name", quick(["pgd", "gra", "naa"], "pgd"))
def test_alone_equals_in_a_batch(name):
    images, keys = toys.images(4, H, W), jax.random.split(KEY, 4)
    labels = jnp.argmax(model(images), -1)
    batch = compiled(name)(images, labels, keys)
    alone = compiled(name)(images[1:2], labels[1:2], keys[1:2])
    np.testing.assert_allclose(alone.images[0], batch.images[1], atol=1e-6)


@pytest.mark.parametrize("name", quick(attacks.names()))
def test_under_jit_and_vmap_by_itself_and_as_an_explorer(name):
    """As eagerly; what an attack follows never speaks against itself."""

    def both(images, labels, keys):
        given = {"key": keys, "num_steps": STEPS}
        moved = attacks.run(attack(name), model, images, labels, **given).images
        maps = [
            ja.attexplore_pp(
                model, images, labels, attack=attack(name), direction=way, **given
            )
            for way in ("ascend", "descend")
        ]
        return moved, *maps

    with toys.float64():
        # Some pixels at their bounds.
        images = toys.images(4, H, W, dtype=jnp.float64) * 1.4 - 0.2
        images = jnp.clip(images, 0, 1).reshape(2, 2, H, W, 3)
        labels = jnp.argmax(jax.vmap(model)(images), -1)
        keys = jax.random.split(KEY, (2, 2))
        found = jax.jit(jax.vmap(both))(images, labels, keys)
        for mapped, eager in zip(found, both(images[1], labels[1], keys[1])):
            np.testing.assert_allclose(mapped[1], eager, atol=1e-9)
        for maps in found[1:]:
            assert maps.min() >= 0
            assert maps.max() > 0


@pytest.mark.slow
def test_ssa_has_the_momentum_that_comparisons_use_and_the_script_s_steps_by_name():
    """The first steps agree; momentum remembers them, the authors' script does not."""
    images, keys = toys.images(2, H, W), jax.random.split(KEY, 2)
    labels = jnp.argmax(model(images), -1)

    def moved(num_steps, **options):
        own = attacks.ssa(num_samples=2, **options)
        given = {"key": keys, "num_steps": num_steps, "step_size": 0.01}
        return attacks.run(own, model, images, labels, **given).images

    np.testing.assert_array_equal(moved(1), moved(1, decay=0.0))
    np.testing.assert_array_equal(moved(3), moved(3, decay=1.0))
    assert (moved(3) != moved(3, decay=0.0)).any()


def test_the_first_step_of_gra_is_whole_to_the_bit():
    for rule in (attacks.gra(), attacks.fgsra()):
        move = rule.move(types.SimpleNamespace(step_size=1.0))
        d = jnp.array([1.0, -2.0]).reshape(1, 1, 2, 1)
        first, _ = jax.jit(move.update)(d, move.init(d))
        np.testing.assert_array_equal(first.ravel(), [1.0, -1.0])


def test_misuse():
    given = {
        "logits_fn": model,
        "images": toys.images(3, H, W),
        "labels": toys.labels(),
    }
    for arguments, message in [
        ({"attack": "mi_fgms"}, "attack: unknown 'mi_fgms'; did you mean mi_fgsm"),
        (
            {"attack": "naa", "key": KEY, "logits_fn": lambda x: model(x)},
            "naa: expected a model split in two",
        ),
        ({"attack": "gra"}, "key: .*needs a typed key"),
        ({"attack": "bim", "epsilon": -0.1}, "epsilon: expected a number of at least"),
        ({"attack": "bim", "num_steps": 0}, "num_steps: expected an integer"),
        ({"attack": "mig", "score": ja.scores.margin}, "score: this attack lowers"),
    ]:
        with pytest.raises(ValueError, match=message):
            attacks.run(**given | arguments)


SHARDED = [
    name if name == "pgd" else pytest.param(name, marks=pytest.mark.slow)
    for name in sorted({*attacks.names()} - {"naa"})
]


@pytest.mark.parametrize(
    "axis_type", quick([AxisType.Auto, AxisType.Explicit], AxisType.Explicit)
)
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
