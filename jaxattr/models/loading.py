"""``load``: a classifier by name, with weights from somewhere."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxattr._checks import (
    check_choice,
    check_float_dtype,
    check_integer,
    check_single_key,
    fail,
)
from jaxattr.checkpoints.reading import read_checkpoint
from jaxattr.checkpoints.wrappers import unwrap
from jaxattr.convolutions.padding import PADDINGS
from jaxattr.models.activations import Activation
from jaxattr.models.catalog import MODELS
from jaxattr.models.classifier import Classifier, Config, initialise, skeleton
from jaxattr.models.convert import Parameters, Tensors, convert, expected_shapes
from jaxattr.models.entries import Entry, Source
from jaxattr.models.finding import locate
from jaxattr.models.other_networks import hint
from jaxattr.models.tf_exports import norms_are_folded
from jaxattr.typing import Array


def names() -> tuple[str, ...]:
    """The models that :func:`load` knows."""
    return tuple(MODELS)


def load(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    key: Array | None = None,
    num_classes: int | None = None,
    activation: Activation | None = None,
    dtype: DTypeLike | None = None,
    preprocessing: str | None = None,
    padding: str | None = None,
) -> Classifier:
    """A classifier with its weights.

    Args:
      name: one of :func:`names`.
      weights: None takes the model's own source: an installed package, a local cache or
        the Hugging Face hub, in this order; a path takes that file, ``.pth``, ``.pt``,
        ``.safetensors`` or ``.npz``, in torchvision's or timm's names, read without
        torch and without executing it; ``"random"`` draws them (He normal). What training
        code puts around a network (``module.``, ``model.``, ``_orig_mod.``, averages, the
        robustness library's and RobustBench's modules) is taken off the names, and said
        in ``Classifier.notes``; a normalisation inside is used.
      key: a typed key for ``weights="random"``.
      num_classes: of the checkpoint, or of the random weights; None is that of the model's
        own data set, 1000, or 10 of networks for CIFAR-10.
      activation: instead of the model's own, for every one of them. ReLU networks have
        no curvature; with ``SmoothRelu`` they have.
      dtype: what to compute in, ``jnp.bfloat16`` for example, accumulated in float32.
        None follows parameters and images.
      preprocessing: what ``Classifier.preprocess`` does: ``"crop"`` (short side, then
        the centre) or ``"squash"`` (resized to the input size). None takes what the
        weights were trained with.
      padding: ``"tf_same"`` or ``"symmetric"``, of models with strides that are padded.
        None takes what the weights were trained with. Naming it chooses among the
        sources of a model: MobileNetV2's TensorFlow weights want images in [-1, 1]. It
        must be named for a file that fits two of them, with batch norms that are folded
        as TensorFlow's exports have them.

    Returns:
      A :class:`Classifier`.

    Raises:
      ValueError: for an unknown name or option, a missing key, a missing, corrupt or
        hostile file, a checkpoint of another network or number of classes (every tensor
        that does not fit is listed), one that may be meant for either padding, or
        weights that are not installed.

    Example:
      >>> import jax
      >>> from jaxattr import models
      >>> model = models.load("squeezenet1_1", "random", key=jax.random.key(0))
      >>> model(jax.numpy.zeros((2, 64, 64, 3))).shape
      (2, 1000)
    """
    model = MODELS[check_choice("name", name, MODELS)]
    if num_classes is None:
        num_classes = model.num_classes
    num_classes = check_integer("num_classes", num_classes)
    activation = _check_activation(activation)
    computed = None if dtype is None else check_float_dtype("dtype", dtype).name
    sources = _sources(model, _check_padding(name, model, padding))

    def configure(source: str) -> Config:
        prepared = sources[source].preprocessings
        chosen = next(iter(prepared)) if preprocessing is None else preprocessing
        return Config(
            name=name,
            source=source,
            num_classes=num_classes,
            activation=activation,
            dtype=computed,
            padding=sources[source].padding if padding is None else padding,
            preprocessing=check_choice("preprocessing", chosen, prepared),
        )

    configs = [configure(source) for source in sources]
    if isinstance(weights, str) and weights == "random":
        return Classifier(initialise(configs[0], _check_key(key)), configs[0])
    if weights is not None and not isinstance(weights, str | os.PathLike):
        raise fail("weights", 'None, a path or "random"', weights)
    path = locate(name, sources) if weights is None else os.fspath(weights)
    tensors, mean, std, notes = unwrap(read_checkpoint(path))
    config = _best_fit(configs, tensors, path)
    config = dataclasses.replace(config, notes=notes)
    if mean is not None and std is not None:
        config = _with_normaliser(config, mean, std, path)
    params = from_tensors(config, tensors, os.fspath(path))
    return Classifier(params, config)


def from_tensors(config: Config, tensors: Tensors, source: str) -> Parameters:
    """The parameters of a model from a checkpoint's arrays by name.

    Raises:
      ValueError: one, that lists every tensor that does not fit.
    """
    params = convert(
        tensors,
        config.weights.rules(),
        skeleton(config)[1],
        epsilon=config.weights.epsilon,
        source=source,
        ignored_prefixes=config.weights.ignored_prefixes,
        hint=_other_classes(config, tensors) or hint(config.name, tensors),
    )
    return jax.tree.map(jnp.asarray, params)


def _with_normaliser(
    config: Config,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    path: str | os.PathLike[str],
) -> Config:
    """The network with a checkpoint's own normalisation, unless it is the source's."""
    if len(mean) != 3:
        raise ValueError(
            f"weights: {os.fspath(path)}: expected a normaliser of three channels, got "
            f"one of {len(mean)}"
        )
    own = (config.weights.mean, config.weights.std)
    if np.allclose(own, (mean, std), rtol=1e-5, atol=1e-6):
        return config
    return dataclasses.replace(config, normaliser=(mean, std))


def _other_classes(config: Config, tensors: Tensors) -> str:
    """A hint, if all that does not fit is the number of classes."""

    def misfits(config: Config) -> list[str]:
        shapes = expected_shapes(config.weights.rules(), skeleton(config)[1])
        return [
            n
            for n, s in shapes.items()
            if n not in tensors or tensors[n].shape not in s
        ]

    wrong = misfits(config)
    found = {tensors[name].shape[:1] for name in wrong if name in tensors}
    if len(found) != 1 or not all(found):
        return ""
    ((num_classes,),) = found
    if not num_classes or misfits(dataclasses.replace(config, num_classes=num_classes)):
        return ""
    return f"; it has {num_classes} classes, load it with num_classes={num_classes}"


def _sources(model: Entry, padding: str | None) -> Mapping[str, Source]:
    """Those that a padding leaves; all of them if none is for that padding."""
    fitting = {
        name: source
        for name, source in model.sources.items()
        if padding is None or source.padding == padding
    }
    return fitting or model.sources


def _best_fit(
    configs: list[Config], tensors: Tensors, path: str | os.PathLike[str]
) -> Config:
    """The source whose names the checkpoint has most of; of equals the first.

    Raises:
      ValueError: equals differ in their padding, and the numbers speak against the first.
    """

    def share(config: Config) -> float:
        names = expected_shapes(config.weights.rules(), skeleton(config)[1])
        return sum(name in tensors for name in names) / len(names)

    if len(configs) == 1:
        return configs[0]
    shares = [share(config) for config in configs]
    best = max(shares)
    equals = [c for c, s in zip(configs, shares, strict=True) if s == best]
    paddings = dict.fromkeys(config.padding for config in equals)
    if best == 1 and len(paddings) > 1 and norms_are_folded(tensors):
        meant = " or ".join(f"padding={padding}" for padding in paddings)
        raise ValueError(
            f"padding: {os.fspath(path)} does not say which is meant, {meant}: its "
            "batch norms are folded, as in exports of TensorFlow (tf_same)"
        )
    return equals[0]


def _check_padding(name: str, model: Entry, padding: str | None) -> str | None:
    if padding is None:
        return None
    if not model.paddings:
        check_choice("padding", padding, PADDINGS)
        raise ValueError(f"padding: {name} has only one, got {padding!r}")
    return check_choice("padding", padding, model.paddings)


def _check_activation(activation: object) -> Activation | None:
    if activation is None:
        return None
    try:
        hash(activation)
    except TypeError:
        raise fail("activation", "a hashable function", activation) from None
    if not callable(activation):
        raise fail("activation", "a function", activation)
    return activation


def _check_key(key: object) -> Array:
    expected = "a typed key, jax.random.key(0)"
    if key is None:
        raise ValueError(f'key: weights="random" needs {expected}')
    return check_single_key(key, expected)
