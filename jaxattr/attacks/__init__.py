"""Attacks on the prediction, each a few slots of an adversarial path."""

from jaxattr.attacks.adversarial import AttackResult, names, run
from jaxattr.attacks.apgd import apgd_ce, apgd_dlr
from jaxattr.attacks.attack import Attack
from jaxattr.attacks.attribution import attack_explanation
from jaxattr.attacks.block_transforms import sia
from jaxattr.attacks.boundary import BoundaryPoint, nearest_boundary
from jaxattr.attacks.carlini_wagner import carlini_wagner
from jaxattr.attacks.ddn import ddn
from jaxattr.attacks.deepfool import deepfool
from jaxattr.attacks.ensemble import boundary_names
from jaxattr.attacks.fab import fab
from jaxattr.attacks.features import naa
from jaxattr.attacks.frequency_aware import fampe
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
from jaxattr.attacks.projected import at_radii, pgd_l2, pgd_linf, pgd_released
from jaxattr.attacks.search import Member

__all__ = [
    "Attack",
    "AttackResult",
    "BoundaryPoint",
    "Member",
    "apgd_ce",
    "apgd_dlr",
    "at_radii",
    "attack_explanation",
    "bim",
    "boundary_names",
    "carlini_wagner",
    "ddn",
    "deepfool",
    "di_fgsm",
    "fab",
    "fampe",
    "fgsm",
    "fgsra",
    "gra",
    "mi_fgsm",
    "mig",
    "naa",
    "names",
    "nearest_boundary",
    "ni_fgsm",
    "pgd",
    "pgd_l2",
    "pgd_linf",
    "pgd_released",
    "pgn",
    "run",
    "si_ni_fgsm",
    "sia",
    "ssa",
    "ti_fgsm",
    "vmi_fgsm",
    "vni_fgsm",
]
