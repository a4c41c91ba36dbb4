"""Images of whatever gives an image and a label by number."""

import jax
import numpy as np
import pytest
import tiny_classifier
from PIL import Image

from jaxattr.evaluation import evaluate
from jaxattr.evaluation.evaluate.metrics import Curve
from jaxattr.evaluation.runs.sources import from_source, is_source

MODELS = {"tiny": tiny_classifier.tiny_classifier()}
BYTES = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3)).astype(np.uint8)


class Photographs:
    """As PyTorch's data sets are."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        item = self.items[index]
        if isinstance(item, Exception):
            raise item
        return item


def prepared():
    model = MODELS["tiny"]
    return np.stack([model.preprocess(Image.fromarray(x)) for x in BYTES])


FORMS = {
    "arrays": lambda i: (BYTES[i], i % 4),
    "images": lambda i: (Image.fromarray(BYTES[i]), np.int64(i % 4)),
    "mappings": lambda i: {"image": Image.fromarray(BYTES[i]), "label": i % 4},
    "as they are": lambda i: (prepared()[i], i % 4),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_images_and_labels(form):
    given = from_source(Photographs([FORMS[form](i) for i in range(5)]), MODELS)
    np.testing.assert_array_equal(given.labels["tiny"], np.arange(5) % 4)
    pixels = given.pixels["tiny"](np.array([3, 1]))
    np.testing.assert_allclose(pixels, prepared()[[3, 1]], atol=1e-6)


def test_a_source_is_scored_as_the_arrays_in_it(tmp_path):
    source = Photographs([FORMS["arrays"](i) for i in range(5)])
    options = {"key": jax.random.key(0), "metrics": Curve(num_steps=4)}
    arrays = evaluate(
        MODELS, "saliency", images=prepared(), labels=np.arange(5) % 4, **options
    )
    for _ in range(2):  # and goes on where it was
        found = evaluate(MODELS, "saliency", images=source, out=tmp_path, **options)
        np.testing.assert_array_equal(
            found.scores("tiny", "saliency"), arrays.scores("tiny", "saliency")
        )


def test_names_of_classes_and_only_the_first():
    names = Photographs(
        [(BYTES[0], "tiger cat"), (BYTES[1], "espresso"), (BYTES[2], 9)]
    )
    given = from_source(names, MODELS, max_images=2)
    assert given.labels["tiny"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="image 2: label: expected 0 to 3, got 9"):
        from_source(names, MODELS)


def test_what_cannot_be_read_is_named_and_keeps_its_place():
    items = [(BYTES[0], 0), OSError("bad record"), (BYTES[2], 2), ("cat.jpg", 0), 7]
    given = from_source(Photographs(items), MODELS)
    assert given.names == ("0", "2")
    assert given.broken[0] == "image 1: cannot be read (bad record)"
    assert given.broken[1] == "image 3: expected an image, got str"
    assert "image 4: cannot be read" in given.broken[2]
    with pytest.raises(
        ValueError, match="not one of 1 can be read; the first: image 0"
    ):
        from_source(Photographs([OSError()]), MODELS)


def test_what_changes_during_the_run_is_named():
    items = [(BYTES[0], 0), (BYTES[1], 1)]
    given = from_source(Photographs(items), MODELS)
    items[1] = (BYTES[2], 1)
    with pytest.raises(ValueError, match="image 1: has changed since this run began"):
        given.pixels["tiny"](np.array([1]))


@pytest.mark.parametrize(
    "given", ["folder", [BYTES], BYTES, {"tiny": BYTES}, jax.numpy.ones(3), None]
)
def test_arrays_are_no_source(given):
    assert not is_source(given)


def test_a_data_set_of_grain_is_one():
    grain = pytest.importorskip("grain")
    source = grain.MapDataset.source(BYTES).map(lambda x: (x, 1))
    assert is_source(source)
    given = from_source(source, MODELS)
    assert given.labels["tiny"].tolist() == [1] * 5


def test_a_data_set_of_hugging_face_is_one():
    datasets = pytest.importorskip("datasets")
    columns = {"image": [Image.fromarray(x) for x in BYTES], "label": [0, 1, 2, 3, 0]}
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.Value("int64")}
    )
    given = from_source(datasets.Dataset.from_dict(columns, features), MODELS)
    assert given.labels["tiny"].tolist() == [0, 1, 2, 3, 0]
    np.testing.assert_allclose(given.pixels["tiny"](np.arange(5)), prepared())
