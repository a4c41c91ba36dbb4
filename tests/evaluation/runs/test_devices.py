import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxattr.evaluation.runs.devices import Devices, first_rows


@jax.jit
def weighed(weights, images, keys):
    noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys)
    return {"sum": images @ weights + jnp.sum(noise, axis=1)}


@pytest.mark.parametrize("count", [8, 6])
def test_four_devices_give_the_numbers_of_one(count):
    weights = jnp.arange(3.0)
    images = np.random.default_rng(0).random((count, 3), np.float32)
    keys = jax.random.split(jax.random.key(0), count)
    alone, spread = Devices(), Devices(jax.make_mesh((2, 2), ("a", "b")))
    found = []
    for devices in (alone, spread):
        program = devices.program(weighed, ("whole", "images", "images"))
        rows = devices.rows((images, keys))
        assert {len(x.sharding.device_set) for x in rows} == {devices.count}
        made = program(devices.whole(weights), *rows)
        found.append(first_rows(made, count)["sum"])
        assert len(found[-1]) == count
    np.testing.assert_array_equal(*found)


def test_each_device_has_its_share_of_the_work_and_asks_nothing_of_others():
    images = jnp.ones((8, 32))
    weights = jnp.ones((32, 32))
    program = jax.jit(lambda weights, images: jnp.tanh(images @ weights) @ weights)
    flops, texts = [], []
    for mesh in (None, jax.make_mesh((4,), ("x",))):
        devices = Devices(mesh)
        spread = devices.program(program, ("whole", "images"))
        lowered = spread.lower(devices.whole(weights), devices.rows(images))
        compiled = lowered.compile()
        flops.append(compiled.cost_analysis()["flops"])
        texts.append(compiled.as_text())
    assert flops[1] <= 0.3 * flops[0]
    assert "all-" not in texts[1]


def test_model_rows_are_shared():
    four = Devices(jax.make_mesh((4,), ("x",)))
    assert [four.share(n) for n in (1, 8, 9)] == [1, 2, 2]
    assert Devices().share(9) == 9


def test_what_is_no_mesh_is_named():
    with pytest.raises(ValueError, match=r"mesh: expected a jax.sharding.Mesh"):
        Devices(4)
