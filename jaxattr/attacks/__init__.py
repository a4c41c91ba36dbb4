"""Attacks on the prediction, each a few slots of an adversarial path."""

from jaxattr.attacks.attack import Attack
from jaxattr.attacks.block_transforms import sia
from jaxattr.attacks.explanations.attack_explanation import attack_explanation
from jaxattr.attacks.fgsm_family import (
    bim,
    di_fgsm,
    fgsm,
    mi_fgsm,
    ni_fgsm,
    pgd,
    si_ni_fgsm,
    ti_fgsm,
)
from jaxattr.attacks.naa import naa
from jaxattr.attacks.neighbourhood import fgsra, gra, mig, pgn, vmi_fgsm, vni_fgsm
from jaxattr.attacks.registry import names
from jaxattr.attacks.run import AttackResult, run
from jaxattr.attacks.spectral_copies import attexplore, fampe, ssa

__all__ = [
    "Attack",
    "AttackResult",
    "attack_explanation",
    "attexplore",
    "bim",
    "di_fgsm",
    "fampe",
    "fgsm",
    "fgsra",
    "gra",
    "mi_fgsm",
    "mig",
    "naa",
    "names",
    "ni_fgsm",
    "pgd",
    "pgn",
    "run",
    "si_ni_fgsm",
    "sia",
    "ssa",
    "ti_fgsm",
    "vmi_fgsm",
    "vni_fgsm",
]

_OF_BOUNDARIES = (
    "BoundaryPoint",
    "BoundarySearch",
    "Member",
    "apgd_ce",
    "apgd_dlr",
    "at_radii",
    "boundary_names",
    "carlini_wagner",
    "ddn",
    "deepfool",
    "fab",
    "nearest_boundary",
    "pgd_l2",
    "pgd_linf",
    "pgd_released",
)


def __getattr__(name: str) -> object:
    # The members of a boundary search are attacks, and are called by these names too.
    # They live one floor up, so they are looked up when first asked for.
    if name in _OF_BOUNDARIES:
        import importlib

        return getattr(importlib.import_module("jaxattr.boundaries"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_OF_BOUNDARIES})
