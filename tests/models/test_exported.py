"""Programs of ``jax.export`` as models, and models as such programs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from quick import quick

import jaxattr as ja
from jaxattr.models import from_exported

SHAPE = (4, 4, 3)
KERNEL = np.random.default_rng(0).normal(size=(48, 5)).astype(np.float32)
IMAGES = jax.random.uniform(jax.random.key(1), (3, *SHAPE))
LABELS = jnp.array([0, 1, 2])


def logits_fn(images):
    return jnp.tanh(images.reshape(len(images), -1) @ KERNEL) ** 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def exported(folder):
    """Files by what ``models.export`` was asked for, each written once."""

    @functools.cache
    def write(**options):
        path = folder / f"{len(list(folder.iterdir()))}.jaxexport"
        return ja.models.export(logits_fn, path, image_shape=SHAPE, **options)

    return write


def raw(function, path, *shapes, vjp_order=0, **options):
    """A file as jax alone writes it."""
    program = export.export(jax.jit(function), **options)(
        *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    )
    path.write_bytes(program.serialize(vjp_order=vjp_order))
    return path


def test_logits_and_maps_are_those_of_the_code(exported):
    model = from_exported(exported())
    assert (model.input_size, model.num_classes) == ((4, 4), 5)
    assert model.labels == ("0", "1", "2", "3", "4")
    np.testing.assert_allclose(model(IMAGES), logits_fn(IMAGES), rtol=1e-6)
    np.testing.assert_allclose(
        ja.saliency(model, IMAGES, LABELS),
        ja.saliency(logits_fn, IMAGES, LABELS),
        rtol=1e-4,
        atol=1e-6,
    )
    loss = jax.jit(lambda model, images: jnp.sum(model(images)[:, 1]))
    gradient = jax.grad(loss, argnums=1)(model, IMAGES[:1])
    wanted = jax.grad(lambda images: jnp.sum(logits_fn(images)[:, 1]))(IMAGES[:1])
    np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-6)


def test_a_program_that_jax_wrote_by_itself(folder):
    path = raw(logits_fn, folder / "raw.bin", (2, *SHAPE), vjp_order=1)
    model = from_exported(path)
    # Three images by a program of two.
    np.testing.assert_allclose(model(IMAGES), logits_fn(IMAGES), rtol=1e-6)
    np.testing.assert_allclose(
        ja.saliency(model, IMAGES, LABELS),
        ja.saliency(logits_fn, IMAGES, LABELS),
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_model_that_asks_for_no_number_of_images(tmp_path):
    def plain(images):
        return jnp.tanh(images.reshape(images.shape[0], -1) @ KERNEL) ** 3

    path = ja.models.export(plain, tmp_path / "plain", image_shape=SHAPE, vjp_order=0)
    np.testing.assert_allclose(
        from_exported(path)(IMAGES), logits_fn(IMAGES), rtol=1e-6
    )


def test_two_loads_are_one_program(exported):
    one, other = from_exported(exported()), from_exported(exported())
    count = 0

    @jax.jit
    def run(model):
        nonlocal count
        count += 1
        return model(IMAGES)

    run(one), run(other)
    assert count == 1
    assert one.program != from_exported(exported(vjp_order=0)).program


@pytest.mark.slow
def test_vmap_of_a_gradient_and_gradient_of_a_vmap(exported):
    model = from_exported(exported())
    stacked = jnp.stack([IMAGES, IMAGES / 2])

    def total(model, images):
        return jnp.sum(model(images) ** 2)

    def of_gradients(model):
        return jax.vmap(jax.grad(functools.partial(total, model)))(stacked)

    def of_values(model):
        vmapped = jax.vmap(functools.partial(total, model))
        return jax.grad(lambda images: jnp.sum(vmapped(images)))(stacked)

    wanted = of_gradients(logits_fn)
    np.testing.assert_allclose(of_gradients(model), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_values(model), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_second_order(exported):
    def curvature(model):
        def slope(images):
            return jnp.sum(jax.grad(lambda x: jnp.sum(model(x)[:, 0]))(images) ** 2)

        return jax.grad(slope)(IMAGES)

    model = from_exported(exported(vjp_order=2))
    assert model.vjp_order == 2
    np.testing.assert_allclose(
        curvature(model), curvature(logits_fn), rtol=1e-3, atol=1e-5
    )
    with pytest.raises(ValueError, match="order 1 only.*vjp_order=2"):
        curvature(from_exported(exported()))


def test_without_derivatives_for_black_box_methods_only(exported):
    path = exported(vjp_order=0)
    model = from_exported(path)
    options = {"labels": LABELS, "num_steps": 4}
    np.testing.assert_allclose(
        ja.deletion_curve(model, IMAGES, IMAGES, **options),
        ja.deletion_curve(logits_fn, IMAGES, IMAGES, **options),
        rtol=1e-4,
        atol=1e-6,
    )
    with pytest.raises(ValueError, match=r"no derivatives.*models.export\(model, path"):
        ja.saliency(model, IMAGES, LABELS)


@pytest.mark.parametrize(
    "kind", quick([AxisType.Auto, AxisType.Explicit], AxisType.Explicit)
)
@pytest.mark.slow
def test_over_a_mesh(exported, kind):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    model = from_exported(exported())
    images = jax.random.uniform(jax.random.key(2), (8, *SHAPE))
    labels = jnp.arange(8) % 5
    wanted = ja.saliency(logits_fn, images, labels)
    rows = NamedSharding(mesh, PartitionSpec("data"))
    with jax.set_mesh(mesh):
        placed = jax.device_put((images, labels), rows)
        got = jax.jit(ja.saliency)(model, *placed)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_each_device_by_itself(exported):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("data")
    images = jax.random.uniform(jax.random.key(2), (8, *SHAPE))
    labels = jnp.arange(8) % 5
    explain = functools.partial(ja.saliency, from_exported(exported()))
    by_device = jax.shard_map(explain, mesh=mesh, in_specs=spec, out_specs=spec)
    got = jax.jit(by_device)(images, labels)
    wanted = ja.saliency(logits_fn, images, labels)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_other_sizes_and_dtypes(exported):
    model = from_exported(exported())
    with pytest.raises(ValueError, match=r"images: .*\(n, 4, 4, 3\), as exported"):
        model(jnp.zeros((1, 5, 4, 3)))
    half = model(IMAGES.astype(jnp.bfloat16))
    assert half.dtype == jnp.float32


def test_what_is_no_program(tmp_path):
    for data in (b"", b"no program of anything" * 40, bytes(1000)):
        path = tmp_path / "file.jaxexport"
        path.write_bytes(data)
        with pytest.raises(
            ValueError, match=r"path: .*expected a program written by jax"
        ):
            from_exported(path)
    with pytest.raises(ValueError, match="no such file"):
        from_exported(tmp_path / "missing")
    with pytest.raises(ValueError, match="(?i)is a directory"):
        from_exported(tmp_path)


def test_a_damaged_program(exported, tmp_path):
    data = bytearray(exported().read_bytes())
    middle = data.find(b"ML\xefR") + 200
    data[middle : middle + 400] = bytes(400)
    path = tmp_path / "damaged.jaxexport"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="path: .*damaged"):
        from_exported(path)


def test_another_platform_and_version(folder, monkeypatch):
    path = raw(logits_fn, folder / "tpu.bin", (2, *SHAPE), platforms=["tpu"])
    with pytest.raises(ValueError, match=r"for tpu, .* on cpu: .*\('tpu', 'cpu'\)"):
        from_exported(path)
    old = raw(logits_fn, folder / "old.bin", (2, *SHAPE))
    low = "minimum_supported_calling_convention_version"
    monkeypatch.setattr(export, low, 1000)
    with pytest.raises(ValueError, match="calling convention has version"):
        from_exported(old)


def test_several_platforms(folder):
    path = ja.models.export(
        logits_fn,
        folder / "both.jaxexport",
        image_shape=SHAPE,
        platforms=("cpu", "cuda"),
    )
    np.testing.assert_allclose(
        from_exported(path)(IMAGES), logits_fn(IMAGES), rtol=1e-6
    )


def test_functions_that_are_no_models(folder):
    two = raw(lambda a, b: a @ b, folder / "two.bin", (2, 3), (3, 4))
    with pytest.raises(ValueError, match=r"float32\[2,3\] and float32\[3,4\]"):
        from_exported(two)
    flat = raw(lambda x: jnp.sum(x, (1, 2, 3)), folder / "flat.bin", (2, *SHAPE))
    with pytest.raises(ValueError, match=r"gives float32\[2\]"):
        from_exported(flat)


def test_a_program_that_calls_back_is_refused(folder):
    called = []

    def back(images):
        called.append(images)
        return np.zeros((2, 5), np.float32)

    def sly(images):
        result = jax.ShapeDtypeStruct((2, 5), jnp.float32)
        return jax.pure_callback(back, result, images)

    # jax.export does not write it either, so its name is put into one that is written.
    with pytest.raises(ValueError, match="model: cannot be exported"):
        ja.models.export(sly, folder / "x", image_shape=SHAPE, batch_size=2)
    path = folder / "sly.bin"
    harmless = jax.ffi.ffi_call(
        "xla_ffi_python_cpu_callback", jax.ShapeDtypeStruct((2, 5), jnp.float32)
    )
    raw(
        lambda images: harmless(images),
        path,
        (2, *SHAPE),
        disabled_checks=[
            export.DisabledSafetyCheck.custom_call("xla_ffi_python_cpu_callback")
        ],
    )
    with pytest.raises(ValueError, match="calls xla_ffi_python_cpu_callback"):
        from_exported(path)
    assert not called


def test_what_cannot_be_exported(tmp_path):
    write = functools.partial(ja.models.export, path=tmp_path / "file")
    with pytest.raises(ValueError, match="image_shape: .* no input_size"):
        write(logits_fn)
    with pytest.raises(ValueError, match="platforms: expected some of cpu"):
        write(logits_fn, image_shape=SHAPE, platforms=("gpu",))
    with pytest.raises(ValueError, match=r"logits \(N, K\), got one that gives"):
        write(lambda images: images, image_shape=SHAPE)

    with pytest.raises(ValueError, match="model: cannot be exported: .*array"):
        write(lambda images: KERNEL @ np.asarray(images), image_shape=SHAPE)
    assert not list(tmp_path.iterdir())


def test_on_the_command_line(tmp_path, capsys):
    import argparse

    from jaxattr.commands import _models

    parser = argparse.ArgumentParser()
    _models.add_model(parser, several=True)
    path = ja.models.export(
        logits_fn, tmp_path / "mine.jaxexport", image_shape=SHAPE, vjp_order=0
    )
    given = parser.parse_args(["--model", f"{path},preprocessing=squash"])
    (model,) = _models.load_models(given).values()
    assert (model.name, model.outside.preprocessing) == ("mine", "squash")
    photo = np.zeros((9, 7, 3), np.uint8)
    assert model.preprocess(photo).shape == SHAPE
    given = parser.parse_args(["--model", f"{path},padding=tf_same"])
    with pytest.raises(ValueError, match="preprocessing only, got padding"):
        _models.load_models(given)
    from jaxattr import cli

    missing = str(tmp_path / "none.jaxexport")
    assert cli.main(["explain", "photo.png", "--model", missing]) == 2
    assert "none.jaxexport: no such file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_classifier_of_the_zoo_says_its_size(tmp_path, monkeypatch):
    model = ja.models.load("squeezenet1_1", "random", key=jax.random.key(0))
    size = (35, 35)
    monkeypatch.setattr(type(model), "input_size", size)
    path = ja.models.export(model, tmp_path / "net.jaxexport", vjp_order=0)
    assert from_exported(path).input_size == size
    assert len(from_exported(path).labels[3]) > 3
