"""What the commands over labelled photographs are tried on."""

import pytest
import small_photographs
import tiny_classifier

import jaxattr as ja


@pytest.fixture
def labelled(tmp_path):
    """A folder of five labelled photographs."""
    return small_photographs.draw_labelled(tmp_path / "photographs")


@pytest.fixture
def tiny_zoo(monkeypatch):
    """``jaxattr.models.load`` knows ``tiny``, ``tiny2``, ...: other weights for each."""

    def load(name, weights=None, **options):
        if not name.startswith("tiny"):
            raise ValueError(f"model: unknown {name!r}")
        return tiny_classifier.tiny_classifier(len(name))

    monkeypatch.setattr(ja.models, "load", load)
