"""What the commands have in common."""

import argparse

import jax
import pytest

import jaxattr as ja
from jaxattr.commands import _arguments


@pytest.fixture
def asked(monkeypatch):
    asked = []

    def load(name, weights=None, **options):
        asked.append((name, weights, options))
        return object()

    monkeypatch.setattr(ja.models, "load", load)
    return asked


def parsed(*words):
    parser = argparse.ArgumentParser()
    _arguments.add_model(parser, several=True)
    _arguments.add_run_options(parser, batch_size=8, out="here")
    return parser.parse_args(words)


def test_every_model_may_have_a_checkpoint_of_its_own(asked):
    arguments = parsed(
        "--model", "resnet18=runs/plain.pth", "--model", "resnet18=runs/robust.pth",
        "--model", "vgg11",
    )  # fmt: skip
    models = _arguments.load_models(arguments, padding="symmetric")
    assert list(models) == ["resnet18 (plain)", "resnet18 (robust)", "vgg11"]
    options = {"padding": "symmetric"}
    assert asked == [
        ("resnet18", "runs/plain.pth", options),
        ("resnet18", "runs/robust.pth", options),
        ("vgg11", None, options),
    ]


def test_files_of_one_name_are_two_models_and_one_asked_for_twice_is_one(asked):
    a, b = "vgg11=a/best.pth", "vgg11=b/best.pth"
    models = _arguments.load_models(parsed("--model", a, "--model", b, "--model", a))
    assert list(models) == ["vgg11 (best)", "vgg11 (b/best.pth)"]
    assert [weights for _, weights, _ in asked] == ["a/best.pth", "b/best.pth"]


def test_random_weights_come_from_the_seed(asked):
    _arguments.load_models(parsed("--weights", "random", "--seed", "7"))
    key = jax.random.key(7)
    ((name, weights, options),) = asked
    assert (name, weights) == ("efficientnet_lite0", "random")
    assert (jax.random.key_data(options["key"]) == jax.random.key_data(key)).all()


def test_defaults():
    arguments = parsed()
    assert (arguments.seed, arguments.batch_size, arguments.out) == (0, 8, "here")
