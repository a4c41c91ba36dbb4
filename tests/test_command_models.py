"""What the commands have in common."""

import argparse
import types

import jax
import pytest

import jaxattr as ja
from jaxattr.commands import _arguments, _models


@pytest.fixture
def asked(monkeypatch):
    asked = []

    def load(name, weights=None, **options):
        asked.append((name, weights, options))
        return types.SimpleNamespace(notes=())

    monkeypatch.setattr(ja.models, "load", load)
    return asked


def parsed(*words):
    parser = argparse.ArgumentParser()
    _models.add_model(parser, several=True)
    _arguments.add_run_options(parser, batch_size=8, out="here")
    return parser.parse_args(words)


def test_every_model_may_have_a_checkpoint_of_its_own(asked):
    arguments = parsed(
        "--model", "resnet18=runs/plain.pth", "--model", "resnet18=runs/robust.pth",
        "--model", "vgg11",
    )  # fmt: skip
    models = _models.load_models(arguments, padding="symmetric")
    assert list(models) == ["resnet18 (plain)", "resnet18 (robust)", "vgg11"]
    options = {"padding": "symmetric"}
    assert asked == [
        ("resnet18", "runs/plain.pth", options),
        ("resnet18", "runs/robust.pth", options),
        ("vgg11", None, options),
    ]


def test_files_of_one_name_are_two_models_and_one_asked_for_twice_is_one(asked):
    a, b = "vgg11=a/best.pth", "vgg11=b/best.pth"
    models = _models.load_models(parsed("--model", a, "--model", b, "--model", a))
    assert list(models) == ["vgg11 (best)", "vgg11 (b/best.pth)"]
    assert [weights for _, weights, _ in asked] == ["a/best.pth", "b/best.pth"]


def test_options_of_a_model(asked):
    a, b = "vgg11=a,b.npz,padding=tf_same", "vgg11=a,b.npz,num_classes=10,dtype=float16"
    given = [
        *("--model", a),
        *("--model", b),
        *("--model", "vgg11, preprocessing=squash"),
    ]
    models = _models.load_models(parsed(*given, "--preprocessing", "crop"))
    assert list(models) == [
        "vgg11 (a,b, padding=tf_same)",
        "vgg11 (a,b, dtype=float16, num_classes=10)",
        "vgg11 (preprocessing=squash)",
    ]
    crop = {"preprocessing": "crop"}
    assert asked == [
        ("vgg11", "a,b.npz", crop | {"padding": "tf_same"}),
        ("vgg11", "a,b.npz", crop | {"dtype": jax.numpy.float16, "num_classes": 10}),
        ("vgg11", None, {"preprocessing": "squash"}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "vgg11=w.npz,pading=tf_same",
            "vgg11: option: unknown 'pading'; did you mean pad",
        ),
        ("vgg11,num_classes=ten", "num_classes: expected a whole number .* got 'ten'"),
        ("vgg11,num_classes=0", "num_classes: expected a whole number of at least 1"),
        (
            "vgg11,dtype=float61",
            "vgg11: dtype: unknown 'float61'; did you mean float16",
        ),
        ("vgg11,dtype=float16,dtype=float32", "vgg11: dtype is given twice"),
    ],
)
def test_misuse_of_options_of_a_model(asked, text, message):
    with pytest.raises(ValueError, match=message):
        _models.load_models(parsed("--model", text))


def test_random_weights_come_from_the_seed(asked):
    _models.load_models(parsed("--weights", "random", "--seed", "7"))
    key = jax.random.key(7)
    ((name, weights, options),) = asked
    assert (name, weights) == ("efficientnet_lite0", "random")
    assert (jax.random.key_data(options["key"]) == jax.random.key_data(key)).all()


def test_defaults():
    arguments = parsed()
    assert (arguments.seed, arguments.batch_size, arguments.out) == (0, 8, "here")
