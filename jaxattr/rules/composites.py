"""Which rule stands where: composites by name, and how to make one.

Named as in zennit, whose composites they are; ``attn_lrp`` is that of AttnLRP.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jaxattr._checks import check_choice, fail
from jaxattr.interpreter.nodes import Node, Reading, is_resizing
from jaxattr.interpreter.program import scopes
from jaxattr.interpreter.pullback import Rule
from jaxattr.rules.linear import AlphaBeta, Epsilon, Flat, Gamma, ZBox, ZPlus
from jaxattr.rules.nonlinear import (
    Linearized,
    Move,
    Pass,
    SoftmaxTaylor,
    Uniform,
    Winner,
)

EPSILON, PASS, WINNER = Epsilon(), Pass(), Winner()
UNIFORM, TAYLOR = Uniform(), SoftmaxTaylor()


@dataclasses.dataclass(frozen=True)
class Composite:
    """A rule for every kind of layer.

    Attributes:
      convolution: of linear layers with weights, those that keep places: convolutions,
        and products of images ``(N, H, W, I)`` with a matrix.
      dense: the other linear layers with weights.
      first_convolution: of a convolution whose input is the images, at most normalised
        or rearranged; None for that of ``convolution``.
      first_dense: of such a dense layer; None for that of ``dense``.
      sum: of sums and means over places (average pooling).
      addition: of sums of two branches.
      affine: of a factor and a shift a channel that follow no linear layer.
      normalization: of layer norms, their shift included. That ``x - mean x`` is divided
        by a norm of ``x`` changes no relevance, nor does an RMS norm.
      pointwise: of functions of one argument, place by place.
      maximum: of maxima over places and of choices between branches.
      product: of products of two branches, gates and attention.
      softmax: of a softmax.
      unknown: of what is neither linear nor known; None is an error.
      primitives: rules for primitives by name, ``{"erf_inv": rule}``, before all others.
      parts: rules for named parts of the model, ``{"encoder/block_1": rule}``: what lies
        in that ``jax.named_scope``, or is tagged so by ``checkpoint_name``, is one layer.
    """

    convolution: Rule = EPSILON
    dense: Rule = EPSILON
    first_convolution: Rule | None = None
    first_dense: Rule | None = None
    sum: Rule = EPSILON
    addition: Rule = EPSILON
    affine: Rule = PASS
    normalization: Rule = PASS
    pointwise: Rule = PASS
    maximum: Rule = WINNER
    product: Rule = UNIFORM
    softmax: Rule = TAYLOR
    unknown: Rule | None = None
    primitives: Mapping[str, Rule] = dataclasses.field(default_factory=dict)
    parts: Mapping[str, Rule] = dataclasses.field(default_factory=dict)

    @property
    def reading(self) -> Reading:
        """How a program is read for it."""
        return Reading(parts=tuple(self.parts))

    def rule(self, node: Node) -> Rule:
        """The rule for a layer.

        Raises:
          ValueError: where there is none.
        """
        if node.kind == "part":
            names = [e.params["name"] for e in node.equations if e.name == "name"]
            for name, rule in self.parts.items():
                if name in names or name in _scopes(node):
                    return rule
        if node.name in self.primitives:
            return self.primitives[node.name]
        if node.kind == "convolution":
            return (node.first and self.first_convolution) or self.convolution
        if node.kind == "dense":
            return (node.first and self.first_dense) or self.dense
        if node.kind == "affine" and (node.raw or not node.has_shift):
            return PASS
        rules: dict[str, Rule | None] = {
            "sum": Move() if node.raw and is_resizing(node) else self.sum,
            "addition": self.addition,
            "affine": self.affine,
            "normalization": self.normalization,
            "centering": self.normalization,
            "scaling": PASS,
            "pointwise": self.pointwise,
            "maximum": self.maximum,
            "choice": self.maximum,
            "product": self.product,
            "quotient": self.product,
            "softmax": self.softmax,
            "move": Move(),
        }
        chosen = rules.get(node.kind, self.unknown)
        if chosen is None:
            raise no_rule(node)
        return chosen


def no_rule(node: Node) -> ValueError:
    """For a layer that nobody has a rule for."""
    return ValueError(
        f"logits_fn: no rule for the primitive {node.name!r} ({node.last.line}), which "
        "is not linear; give it one with rules.Composite(primitives={...}), or take its "
        'derivative with unknown="gradient"'
    )


def _scopes(node: Node) -> set[str]:
    return {s for e in node.equations for s in scopes(e.scope)}


COMPOSITES: Mapping[str, Composite] = MappingProxyType(
    {
        "zero": Composite(
            convolution=Epsilon(0.0),
            dense=Epsilon(0.0),
            sum=Epsilon(0.0),
            addition=Epsilon(0.0),
        ),
        "epsilon": Composite(),
        "epsilon_plus": Composite(convolution=ZPlus()),
        "epsilon_plus_flat": Composite(
            convolution=ZPlus(), first_convolution=Flat(), first_dense=Flat()
        ),
        "epsilon_gamma_box": Composite(convolution=Gamma(), first_convolution=ZBox()),
        "epsilon_alpha2_beta1": Composite(convolution=AlphaBeta()),
        "epsilon_alpha2_beta1_flat": Composite(
            convolution=AlphaBeta(), first_convolution=Flat(), first_dense=Flat()
        ),
        "attn_lrp": Composite(affine=Epsilon(), normalization=Epsilon()),
    }
)
"""The composites that have names."""


def names() -> list[str]:
    """The names of the composites.

    >>> "epsilon_plus_flat" in names()
    True
    """
    return sorted(COMPOSITES)


def composite(asked: str | Composite, **changes: Any) -> Composite:
    """A composite by name, or one of the caller's, with some rules changed.

    Raises:
      ValueError: for an unknown name (the message has the nearest), or another object.

    Example:
      >>> from jaxattr import rules
      >>> rules.composite("epsilon_plus", dense=rules.Gamma(0.1)).dense
      Gamma(gamma=0.1, epsilon=1e-06)
    """
    if isinstance(asked, Composite):
        return dataclasses.replace(asked, **changes)
    if not isinstance(asked, str):
        raise fail("composite", "a name or a rules.Composite", asked)
    found = COMPOSITES[check_choice("composite", asked, COMPOSITES)]
    return dataclasses.replace(found, **changes)


def linearized(asked: Composite) -> Composite:
    """The composite that takes the derivative of what it has no rule for."""
    return dataclasses.replace(asked, unknown=Linearized())
