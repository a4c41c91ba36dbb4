"""Models that every explainer is held to its promises on, and how it is called there.

A toy, a convolutional network and a transformer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import small_zoo
import toys

import jaxattr as ja
from jaxattr.evaluation.methods import registry
from jaxattr.typing import Array, LogitsFn

METHODS = registry.methods()
KEY = jax.random.key(3)
# Where minutes count, one stands for those that are made of the same parts: attexplore for
# what explores, mfaba for paths that stop, smoothgrad and integrated_gradients for their
# expectation, guided_backprop for the other gradient of a rectifier. What searches for a
# boundary is compiled the longest and is held by tests of its own.
SLOW = (
    *("big", "bsg", "bsm"),
    *("attexplore_pp", "fampe"),
    "agi",
    *("expected_gradients", "input_x_gradient"),
    "deconvnet",
    *("kernel_shap", "lime"),
    *("la", "isa", "idgi", "blur_ig"),
    *("grad_cam_pp", "layer_cam", "xgrad_cam"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A model with curvature everywhere, and how exact explanations of it are."""

    name: str
    params: Any
    model: Callable[[Any], LogitsFn]
    """Parameters to a model, which is split where ``split`` says so."""
    images: Callable[..., Array]
    """``(n, dtype=)``, away from the bounds."""
    overrides: Mapping[str, Mapping[str, Any]]
    """Options by method, for few steps and samples."""
    tolerance: float
    """Of a map's largest value: as much as rounding may change."""
    half_tolerance: float
    """The same for a model in bfloat16, of the norm."""
    step: float = 1e-5
    """Of finite differences."""
    steep: tuple[str, ...] = ()
    """Methods that divide by sums which nearly vanish, or whose map nearly does: bfloat16
    says nothing of them, and their finite differences take steps a tenth as long."""
    dtype: Any = jnp.float32
    """What is compared, is compared in it."""
    split: bool = False
    """Whether it has ``features`` and ``head``."""

    def precision(self) -> AbstractContextManager:
        """Inside of it ``dtype`` is kept."""
        if self.dtype == jnp.float64:
            return toys.float64()
        return contextlib.nullcontext()

    def labels(self, images: Array) -> Array:
        """As classified: boundary methods move no others."""
        logits = _logits(self, self.params, images.astype(jnp.float32))
        return jnp.argmax(logits, axis=-1)

    def preceded(self, function: Callable[[Array], Array], params: Any) -> LogitsFn:
        """The model on what a function makes of the images that it is given."""
        model = self.model(params)
        if self.split:
            return ja.models.Split(lambda x: model.features(function(x)), model.head)
        return lambda x: model(function(x))


@functools.partial(jax.jit, static_argnums=0)
def _logits(subject: Subject, params: Any, images: Array) -> Array:
    return subject.model(params)(images)


# Few steps and samples, and an odd number, so that chunks have ragged ends.
SMALL = {
    "smoothgrad": {"num_samples": 5},
    "integrated_gradients": {"num_steps": 5},
    "expected_gradients": {"num_samples": 5},
    "guided_ig": {"num_steps": 4},
    "occlusion": {"window": 3, "stride": 2},
    "rise": {"num_samples": 5, "grid": 3},
    "lime": {"segments": (2, 3), "num_samples": 11},
    "kernel_shap": {"segments": (2, 3), "num_samples": 19},
    "attexplore": {"num_steps": 3, "num_samples": 5},
    "attexplore_pp": {"num_steps": 3, "attack": ja.attacks.gra(num_samples=5)},
    "fampe": {"num_steps": 3, "num_samples": 5},
    "mfaba": {"num_steps": 4, "step_size": 0.02},
    "agi": {"num_targets": 2, "num_steps": 3},
    "isa": {
        "values_per_round": 30,
        "num_ascent_steps": 3,
        "num_descent_steps": 3,
        "step_size": 0.05,
        # Differences within a round, which rounding sets off, beside its number.
        "factor": 0.1,
    },
    "idgi": {"num_steps": 5},
    "blur_ig": {"num_steps": 5, "max_sigma": 3.0},
    "la": {"num_targets": 2, "num_steps": 3},
}


def boundary(search: Any) -> dict[str, dict[str, Any]]:
    """One draw and few halvings: short, and no step decides by rounding."""
    options = {"search": ja.BoundarySearch(search, num_bisections=4)}
    return {
        "bsm": options,
        "big": {**options, "num_steps": 5},
        "bsg": {**options, "num_samples": 5},
    }


@functools.cache
def toy() -> Subject:
    """Two matrices and a hyperbolic tangent: seconds for a whole suite."""
    return Subject(
        name="toy",
        params=toys.init_smooth(jax.random.key(0)),
        model=lambda params: functools.partial(toys.smooth_logits, params),
        images=toys.images,
        overrides=SMALL | boundary(ja.boundaries.pgd_l2(radii=(4.0,), num_steps=2)),
        tolerance=2e-6,
        half_tolerance=0.02,
    )


# Far from where a layer's value is zero the relevances of a deep network are not defined
# by the last bits of it.
STABLE = dict.fromkeys(
    ("convolution", "dense", "sum", "addition"), ja.rules.Epsilon(0.5)
)


@functools.cache
def of_zoo(name: str, half_tolerance: float) -> Subject:
    """A small network of the zoo's parts; it must be in the catalog.

    In float64: in so many layers rounding adds up, and float32 would now and then take
    a sign step or a sorted pixel the other way.
    """
    classifier = small_zoo.load(name, activation=jax.nn.softplus)

    def images(n: int = 3, dtype: Any = jnp.float32) -> Array:
        size = small_zoo.SIZE
        return toys.images(n, size, size, dtype=dtype)

    return Subject(
        name=name,
        params=classifier.params,
        model=lambda params: dataclasses.replace(classifier, params=params),
        images=images,
        # Its boundary is farther away; of the residual network 16 does not always reach it.
        overrides=SMALL
        | {"lrp": {"composite": ja.rules.Composite(**STABLE)}}
        | boundary(
            ja.boundaries.pgd_l2(
                radii=(32.0 if name == "small_resnet" else 16.0,), num_steps=4
            )
        ),
        tolerance=1e-9,
        half_tolerance=half_tolerance,
        step=1e-7,  # the maxima of a pooling must stay where they are
        steep=("excitation_backprop", "grad_cam_pp", "hires_cam"),
        dtype=jnp.float64,
        split=True,
    )


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "toy": toy,
    # Rounding the pixels moves maxima of its pooling: 0.2 of a gradient in float32 too.
    "small_resnet": functools.partial(of_zoo, "small_resnet", 0.3),
    "small_vit": functools.partial(of_zoo, "small_vit", 0.1),
    "small_maxvit": functools.partial(of_zoo, "small_maxvit", 0.1),
}


def draw(subject: Subject, n: int = 3) -> tuple[Array, Array]:
    """Images and their labels."""
    images = subject.images(n, dtype=subject.dtype)
    return images, subject.labels(images)


def options(
    subject: Subject, name: str, key: Array = KEY, dtype: Any = None
) -> dict[str, Any]:
    """What a method is called with, beside the model, the images and the labels."""
    given = {"key": key, **subject.overrides.get(name, {})}
    if METHODS[name].needs_references:
        dtype = subject.dtype if dtype is None else dtype
        given["references"] = subject.images(2, dtype=dtype)[:, ::-1]
    return given


def explain(
    subject: Subject,
    name: str,
    model: LogitsFn,
    images: Array,
    labels: Array,
    **overrides: Any,
) -> Array:
    """The maps of a method with the options of a subject."""
    given = options(subject, name, dtype=images.dtype) | overrides
    return METHODS[name].explain(model, images, labels, **given)


@functools.cache
def compiled(subject: Subject, name: str, **overrides: Any) -> Callable[..., Array]:
    """Jitted in (params, images, labels, key): shared by the tests of a method."""

    def run(params, images, labels, key=KEY):
        model = subject.model(params)
        return explain(subject, name, model, images, labels, key=key, **overrides)

    return jax.jit(run)
