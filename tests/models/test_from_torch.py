"""Modules of torch as models. ``torch_parity.py`` beside this holds whole networks."""

import functools
import importlib.util
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxattr as ja

torch = pytest.importorskip("torch", reason="needs torch (the extra torch)")
if importlib.util.find_spec("torchax") is None:  # imported by the library, with care
    pytest.skip("needs torchax (the extra torch)", allow_module_level=True)

nn = torch.nn
IMAGES = jax.random.uniform(jax.random.key(1), (4, 6, 6, 3))
LABELS = jnp.array([0, 1, 2, 0])
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


class Net(nn.Module):
    """A convolution, a batch norm, an index, attention and a head."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 3)
        self.register_buffer("order", torch.arange(36).flip(0))
        self.shift = torch.full((8,), 0.1)  # neither parameter nor buffer

    def forward(self, images):
        x = nn.functional.gelu(self.norm(self.conv(images)))
        x = x.flatten(2).transpose(1, 2)[:, self.order] + self.shift
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(self.drop(x.mean(1)))


class Probe(nn.Module):
    """A linear model that does something else first."""

    def __init__(self, act=lambda self, images: images):
        super().__init__()
        self.head = nn.Linear(108, 3)
        self.register_buffer("count", torch.zeros(1))
        self.act = act

    def forward(self, images):
        images = self.act(self, images)
        return self.head(images.flatten(1))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = Net().eval()
    net.norm.running_mean.uniform_(-0.1, 0.1)
    net.norm.running_var.uniform_(0.5, 1.5)
    return net


@pytest.fixture(scope="module")
def model(net):
    return ja.models.from_torch(net, IMAGES[:1], normalize=(MEAN, STD))


def by_torch(net, images, labels):
    """Logits and input gradients of the label's logit, by torch alone."""
    pixels = torch.from_numpy(np.array(images)).requires_grad_()
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    logits = net(((pixels - mean) / std).permute(0, 3, 1, 2))
    logits[torch.arange(len(images)), np.array(labels)].sum().backward()
    return logits.detach().numpy(), pixels.grad.numpy()


def test_logits_and_gradients_are_torchs(net, model):
    logits, gradients = by_torch(net, IMAGES, LABELS)
    np.testing.assert_allclose(model(IMAGES), logits, rtol=1e-4, atol=1e-5)
    maps = ja.saliency(model, IMAGES, LABELS)
    np.testing.assert_allclose(maps, gradients, rtol=1e-4, atol=1e-5)
    assert (model.name, model.input_size, model.num_classes) == ("Net", (6, 6), 3)


def test_new_weights_do_not_compile_again(model):
    count = 0

    @jax.jit
    def run(model, images):
        nonlocal count
        count += 1
        return model(images)

    run(model, IMAGES)
    half = jax.tree.map(lambda leaf: leaf / 2, model)
    changed = run(half, IMAGES)
    assert count == 1
    assert jnp.abs(changed - model(IMAGES)).max() > 0.01
    assert all(
        jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(model)
    )


def test_vmap_and_second_derivatives(model):
    def score(image):
        return model(image[None])[0, 1]

    singles = jnp.stack([jax.grad(score)(image) for image in IMAGES[:2]])
    together = jax.vmap(jax.grad(score))(IMAGES[:2])
    np.testing.assert_allclose(together, singles, rtol=1e-4, atol=1e-6)
    curved = jax.grad(lambda x: jnp.sum(jax.grad(score)(x) ** 2))(IMAGES[0])
    assert jnp.isfinite(curved).all()
    assert jnp.abs(curved).max() > 0


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_over_a_mesh(model, kind):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    wanted = ja.saliency(model, IMAGES, LABELS)
    with jax.set_mesh(mesh):
        rows = NamedSharding(mesh, PartitionSpec("data"))
        placed = jax.device_put((IMAGES, LABELS), rows)
        got = jax.jit(ja.saliency)(model, *placed)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


class Layers(nn.Module):
    """Convolutions and maxima of each kind; a logit is the mean square of one result."""

    def __init__(self):
        super().__init__()
        conv = functools.partial(nn.Conv2d, 4, 8)
        self.mix = nn.Conv2d(3, 4, 1)
        self.kinds = nn.ModuleList(
            [
                conv(3, stride=2, padding=1),
                conv(1, stride=2),
                conv(2, stride=2),
                conv((3, 1), stride=(2, 1), padding=(1, 0)),
                conv((1, 3), padding=(0, 2)),
                conv(3, groups=2, padding=1),
                nn.Conv2d(4, 4, 3, groups=4, stride=2, padding=1, bias=False),
                nn.Conv2d(4, 8, 3, groups=4),
                conv(3, padding=2, dilation=2),
                conv(3, padding="same"),
                nn.ConvTranspose2d(4, 8, 2, stride=2),
                nn.MaxPool2d(3, 2, padding=1),
                nn.MaxPool2d(4, 3, ceil_mode=True),
                nn.MaxPool2d((3, 2), stride=1),
                nn.MaxPool2d(3, 3, padding=1, ceil_mode=True),
            ]
        )

    def forward(self, images):
        x = self.mix(images)
        return torch.stack([kind(x).square().mean((1, 2, 3)) for kind in self.kinds], 1)


def test_every_kind_of_convolution_and_maximum():
    """Some are the library's own, some torchax's; numbers and gradients are torch's."""
    torch.manual_seed(0)
    network = Layers().eval()
    images = np.array(IMAGES[:2])
    model = ja.models.from_torch(network, images)

    def total(images):
        logits = model(images)
        return (logits * jnp.arange(1.0, 16.0)[None]).sum(), logits

    run = jax.value_and_grad(total, has_aux=True)
    (_, logits), gradient = jax.jit(run)(jnp.asarray(images))
    pixels = torch.from_numpy(images).requires_grad_()
    expected = network(pixels.permute(0, 3, 1, 2))
    (expected * torch.arange(1.0, 16.0)).sum().backward()
    np.testing.assert_allclose(logits, expected.detach(), rtol=1e-4)
    np.testing.assert_allclose(gradient, pixels.grad, rtol=1e-3, atol=1e-5)
    # Grouped convolutions are slow in XLA.
    groups = re.findall(
        r"feature_group_count=(\d+)", str(jax.make_jaxpr(model)(images))
    )
    assert groups
    assert set(groups) == {"1"}


CORNERS = np.array([-3, -1, -0.5, 0, 0.5, 1, 3, 6, 7], np.float32).reshape(1, 3, 3, 1)


class Activations(nn.Module):
    """A logit is the sum of one activation over values where some have corners."""

    def forward(self, x):
        f = nn.functional
        values = (
            *(f.relu(x), f.relu6(x), f.relu6(x + 0, inplace=True), f.hardtanh(x)),
            *(x.clamp(0, 6), x.clamp(min=0), (x + 0).clamp_(0, 6), x.abs()),
            *(f.hardswish(x), f.hardswish(x + 0, inplace=True), f.hardsigmoid(x)),
            *(f.leaky_relu(x), f.leaky_relu(x + 0, 0.2, inplace=True), f.elu(x)),
            torch.maximum(x, torch.zeros_like(x)),
        )
        return torch.stack([value.sum((1, 2, 3)) for value in values], 1)


def test_derivatives_at_corners_are_torchs():
    model = ja.models.from_torch(Activations().eval(), CORNERS)
    jacobian = jax.jit(jax.jacrev(lambda images: model(images)[0]))(CORNERS)
    assert len(jacobian) == model.num_classes == 15
    for i, got in enumerate(jacobian):
        pixels = torch.from_numpy(CORNERS.copy()).requires_grad_()
        Activations()(pixels.permute(0, 3, 1, 2))[0, i].backward()
        np.testing.assert_allclose(got, pixels.grad, rtol=1e-6, err_msg=str(i))


def test_half_precision(net, model):
    exact = model(IMAGES)
    half = ja.models.from_torch(
        net, IMAGES[:1], normalize=(MEAN, STD), dtype=jnp.bfloat16
    )
    assert half(IMAGES).dtype == jnp.float32
    error = jnp.abs(half(IMAGES) - exact).max() / jnp.abs(exact).max()
    assert 1e-6 < error < 0.05
    converted = ja.models.from_torch(Probe().bfloat16().eval(), torch.zeros(1, 3, 6, 6))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(converted)} == {"bfloat16"}


def test_an_explorer_an_attack_and_a_metric(model):
    key = jax.random.key(0)
    maps = ja.attexplore(model, IMAGES, LABELS, key=key, num_steps=2, num_samples=2)
    assert jnp.isfinite(maps).all()
    result = ja.attacks.run(
        "mig", model, IMAGES, LABELS, key=key, epsilon=0.1, num_steps=2
    )
    assert result.images.shape == IMAGES.shape
    curves = ja.deletion_curve(model, IMAGES, maps, labels=LABELS, num_steps=4)
    assert curves.shape == (4, 5)


def test_nothing_is_left_behind(net, model):
    fast = torch.backends.mha.get_fastpath_enabled()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    ja.models.from_torch(net, IMAGES[:1])
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert type(torch.zeros(2) + 1) is torch.Tensor
    assert all(torch.equal(before[n], value) for n, value in net.state_dict().items())
    assert type(net.shift) is torch.Tensor
    # What the caller does with the module afterwards is no business of the model.
    logits = model(IMAGES)
    with torch.no_grad():
        net.head.bias += 1
    np.testing.assert_array_equal(model(IMAGES), logits)
    with torch.no_grad():
        net.head.bias -= 1


def counts(self, images):
    self.count += 1
    return images


def replaces(self, images):
    self.count = self.count + 1
    return images


def branches(self, images):
    return images if images.sum() > 0 else -images


def chooses(self, images):
    return images[:, :, images[0, 0, 0] > 0.5].sum() + images


def draws(self, images):
    return images + torch.rand_like(images)


def lacks(self, images):
    return images * torch.special.airy_ai(images)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (counts, "changes count"),
        (replaces, "changes count"),
        (branches, "decides by the values.*test_from_torch.py:.* in branches"),
        (chooses, "decides by the values.*in chooses"),
        (draws, "draws random numbers"),
        (lacks, "operator that torchax does not have.*airy_ai.* in lacks"),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_modules_that_are_no_functions_of_images(act, message):
    with pytest.raises(ValueError, match=f"module: .*{message}"):
        ja.models.from_torch(Probe(act).eval(), IMAGES[:1])


def test_what_is_no_model():
    convert = functools.partial(ja.models.from_torch, example=IMAGES[:1])
    with pytest.raises(ValueError, match="module: expected a torch.nn.Module"):
        convert(lambda images: images)
    with pytest.raises(
        ValueError, match=r"the whole, head in training mode; .*eval\(\)"
    ):
        convert(Probe())
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    with pytest.raises(ValueError, match="rows that are independent"):
        convert(nn.Sequential(norm, nn.Flatten(), nn.Linear(108, 3)).eval())
    with pytest.raises(ValueError, match=r"returns logits \(N, K\), got float32\[1, 3"):
        convert(nn.Conv2d(3, 3, 1).eval())
    for normalize in ("cifar", (0.5,), (0.5, 0.0), ((0.5, 0.5), 1.0)):
        with pytest.raises(ValueError, match="normalize: expected"):
            convert(Probe().eval(), normalize=normalize)
    with pytest.raises(ValueError, match="example: expected"):
        ja.models.from_torch(Probe().eval(), torch.zeros(3, 6, 6))
    model = convert(Probe().eval())
    with pytest.raises(ValueError, match="images: expected 3 channels"):
        model(IMAGES[..., :2])


def test_the_example_of_the_page_runs():
    page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "models.md"
    (block,) = re.findall(
        r"^```py\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    names: dict = {}
    exec(block, names)
    assert names["maps"].shape == (1, 8, 8, 3)


def test_numbers_that_differ_from_torchs_are_refused(monkeypatch):
    from jaxattr.models import torch_bridge

    run = torch_bridge.run
    monkeypatch.setattr(torch_bridge, "run", lambda *given: run(*given) + 1)
    with pytest.raises(ValueError, match="away from torch's"):
        ja.models.from_torch(Probe().eval(), IMAGES[:1])
