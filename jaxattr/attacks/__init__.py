"""Attacks on the prediction, each a few slots of an adversarial path."""

from jaxattr.attacks.adversarial import AttackResult, names, run
from jaxattr.attacks.attack import Attack
from jaxattr.attacks.attribution import attack_explanation
from jaxattr.attacks.block_transforms import sia
from jaxattr.attacks.features import naa
from jaxattr.attacks.momentum import (
    bim,
    di_fgsm,
    fgsm,
    mi_fgsm,
    ni_fgsm,
    pgd,
    si_ni_fgsm,
    ti_fgsm,
)
from jaxattr.attacks.neighbourhood import (
    fgsra,
    gra,
    mig,
    pgn,
    ssa,
    vmi_fgsm,
    vni_fgsm,
)

__all__ = [
    "Attack",
    "AttackResult",
    "attack_explanation",
    "bim",
    "di_fgsm",
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
