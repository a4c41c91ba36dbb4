"""``--devices``: how many devices a command uses, and which."""

import argparse

import jax
import pytest

from jaxattr.commands import _arguments
from jaxattr.commands._devices import mesh_of


def asked(*words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    _arguments.add_run_options(parser, batch_size=8, out="here", devices=True)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ((), (0, 1, 2, 3)),
        (("--devices", "all"), (0, 1, 2, 3)),
        (("--devices", "2"), (0, 1)),
        (("--device", "cpu:1", "--devices", "2"), (1, 2)),
        (("--device", "cpu:1", "--devices", "all"), (1, 2, 3)),
    ],
)
def test_which_devices(words, places):
    mesh = mesh_of(asked(*words))
    assert mesh.devices.tolist() == [jax.devices()[i] for i in places]


@pytest.mark.parametrize("words", [("--devices", "1"), ("--device", "cpu:2")])
def test_one_device_is_no_mesh(words):
    assert mesh_of(asked(*words)) is None


def test_more_than_there_are():
    with pytest.raises(ValueError, match="--devices: there are 4, got 5"):
        mesh_of(asked("--devices", "5"))
    with pytest.raises(ValueError, match="there are 1 from --device cpu:3 on, got 2"):
        mesh_of(asked("--device", "cpu:3", "--devices", "2"))


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "some", ""])
def test_no_number(text):
    with pytest.raises(argparse.ArgumentError, match="expected all, or a whole number"):
        asked("--devices", text)
