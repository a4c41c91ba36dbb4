"""What a key draws for an image does not depend on its batch, for any kind of key."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import subjects
from quick import quick

import jaxattr as ja
from jaxattr import _random
from jaxattr._checks import check_key, check_single_key

IMPLEMENTATIONS = ("threefry2x32", "rbg", "unsafe_rbg")
SLOW = (
    *(*subjects.SLOW, "guided_ig", "mfaba", "lrp", "deeplift"),
    *("occlusion", "excitation_backprop", "guided_backprop"),
    *("ablation_cam", "eigen_cam", "hires_cam"),
)
labels = jnp.array([0, 1, 2])


def model(images):
    weights = jax.random.normal(jax.random.key(1), (48, 3))
    return jnp.tanh(images.reshape(len(images), -1) @ weights / 7)


images = jax.random.uniform(jax.random.key(2), (3, 4, 4, 3))


@pytest.mark.slow
@pytest.mark.parametrize("impl", quick(IMPLEMENTATIONS, "rbg"))
def test_a_map_does_not_depend_on_how_the_work_is_cut(impl):
    key = jax.random.key(0, impl=impl)
    explain = jax.jit(
        lambda images, labels, key, rows: ja.smoothgrad(
            model, images, labels, key=key, num_samples=4, stddev=0.5, batch_size=rows
        ),
        static_argnums=3,
    )
    whole = explain(images, labels, key, None)
    for rows in (1, 6):
        np.testing.assert_allclose(explain(images, labels, key, rows), whole, atol=1e-6)
    own = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(3))
    order = jnp.array([2, 0, 1])
    mixed = explain(images[order], labels[order], own[order], None)
    np.testing.assert_allclose(mixed, whole[order], atol=1e-6)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_no_two_chains_of_indices_make_one_key(impl):
    key, one = jax.random.key(0, impl=impl), jnp.zeros(1, int)
    # One image a call: in a batch other generators fold otherwise, which hides that two
    # of their folds may be in any order.
    keys = [check_key(jax.random.fold_in(key, n)[None], one) for n in range(4)]
    chains = [_random.fold_in(_random.fold_in(k, i), 1) for k in keys for i in range(4)]
    data = np.concatenate([jax.random.key_data(chain) for chain in chains])
    assert len(np.unique(data, axis=0)) == 16


def test_keys_of_threefry_stay_as_they_are():
    keys = jax.random.split(jax.random.key(3), 2)
    np.testing.assert_array_equal(
        jax.random.key_data(check_key(keys, jnp.zeros(2, int))),
        jax.random.key_data(keys),
    )


def test_raw_keys_are_the_typed_ones():
    for raw, typed in (
        (jax.random.PRNGKey(0), jax.random.key(0)),
        (
            jax.random.split(jax.random.PRNGKey(0), 3),
            jax.random.split(jax.random.key(0), 3),
        ),
    ):
        given, expected = (
            jax.random.key_data(check_key(key, labels)) for key in (raw, typed)
        )
        np.testing.assert_array_equal(given, expected)
    one = check_single_key(jax.random.PRNGKey(5))
    np.testing.assert_array_equal(
        jax.random.key_data(one), jax.random.key_data(jax.random.key(5))
    )
    for wrong in (0, jnp.zeros(2), jnp.zeros((3, 5), jnp.uint32), jnp.zeros(2, int)):
        with pytest.raises(ValueError, match="key: expected"):
            check_key(wrong, labels)


def _of_every_explainer():
    """Every one under keys of threefry, and what draws under those of each generator."""
    for name, method in subjects.METHODS.items():
        if method.needs_attention:
            continue  # The toy has none; the protocol tries them on a small ViT.
        for impl in IMPLEMENTATIONS if method.needs_key else IMPLEMENTATIONS[:1]:
            dear = (name, impl) == ("attexplore", "unsafe_rbg")
            is_slow = dear or name in SLOW or impl == "rbg"
            marks = [pytest.mark.slow] if is_slow else []
            yield pytest.param(name, impl, marks=marks, id=f"{name}-{impl}")


@pytest.mark.parametrize(("name", "impl"), list(_of_every_explainer()))
def test_a_permuted_batch_has_the_same_maps_permuted(name, impl):
    toy = subjects.toy()
    images, labels = subjects.draw(toy)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
        jax.random.key(3, impl=impl), jnp.arange(3)
    )
    if subjects.METHODS[name].needs_split:
        toy = dataclasses.replace(
            toy,
            model=lambda params: ja.models.Split(
                jnp.tanh, subjects.toy().model(params)
            ),
        )
    explain = subjects.compiled(toy, name)
    maps = np.asarray(explain(toy.params, images, labels, keys))
    order = np.array([2, 0, 1])
    mixed = explain(toy.params, images[order], labels[order], keys[order])
    atol = toy.tolerance * np.abs(maps).max()
    assert np.abs(maps[order] - maps).max() > 100 * atol
    np.testing.assert_allclose(mixed, maps[order], rtol=0, atol=atol)
