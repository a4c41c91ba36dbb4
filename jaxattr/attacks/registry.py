"""The attacks by name. A new one is a function in a file beside this, and a line here."""

from __future__ import annotations

from collections.abc import Callable

from jaxattr._checks import check_choice
from jaxattr.attacks.attack import Attack
from jaxattr.attacks.block_transforms import sia
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
from jaxattr.attacks.spectral_copies import attexplore, fampe, ssa

ATTACKS: dict[str, Callable[[], Attack]] = {
    "fgsm": fgsm,
    "bim": bim,
    "pgd": pgd,
    "mi_fgsm": mi_fgsm,
    "ni_fgsm": ni_fgsm,
    "si_ni_fgsm": si_ni_fgsm,
    "di_fgsm": di_fgsm,
    "ti_fgsm": ti_fgsm,
    "vmi_fgsm": vmi_fgsm,
    "vni_fgsm": vni_fgsm,
    "ssa": ssa,
    "attexplore": attexplore,
    "fampe": fampe,
    "mig": mig,
    "gra": gra,
    "pgn": pgn,
    "fgsra": fgsra,
    "sia": sia,
    "naa": naa,
}


def names() -> tuple[str, ...]:
    """The attacks that ``run`` and ``attexplore_pp`` know by name.

    ``naa`` needs a model with ``features`` and ``head``, as ``grad_cam`` does; to attack
    another layer pass ``ja.attacks.naa(*model.split(layer))`` instead.
    """
    return tuple(ATTACKS)


def as_attack(attack: str | Attack) -> Attack:
    """An ``Attack``, or the one of that name with its published settings."""
    if isinstance(attack, Attack):
        return attack
    return ATTACKS[check_choice("attack", attack, ATTACKS)]()
