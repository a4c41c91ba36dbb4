"""The attacks by name: a new one is a function in a file beside this, and a line here."""

from __future__ import annotations

from collections.abc import Callable

from jaxattr._checks import check_choice
from jaxattr.attacks import (
    block_transforms,
    fgsm_family,
    naa,
    neighbourhood,
    spectral_copies,
)
from jaxattr.attacks.attack import Attack

_ATTACKS: dict[str, Callable[[], Attack]] = {
    "fgsm": fgsm_family.fgsm,
    "bim": fgsm_family.bim,
    "pgd": fgsm_family.pgd,
    "mi_fgsm": fgsm_family.mi_fgsm,
    "ni_fgsm": fgsm_family.ni_fgsm,
    "si_ni_fgsm": fgsm_family.si_ni_fgsm,
    "di_fgsm": fgsm_family.di_fgsm,
    "ti_fgsm": fgsm_family.ti_fgsm,
    "vmi_fgsm": neighbourhood.vmi_fgsm,
    "vni_fgsm": neighbourhood.vni_fgsm,
    "ssa": neighbourhood.ssa,
    "mig": neighbourhood.mig,
    "gra": neighbourhood.gra,
    "pgn": neighbourhood.pgn,
    "fgsra": neighbourhood.fgsra,
    "sia": block_transforms.sia,
    "fampe": spectral_copies.fampe,
    "naa": naa.naa,
}


def names() -> tuple[str, ...]:
    """The attacks that ``run`` and ``attexplore_pp`` know by name.

    ``naa`` needs a model with ``features`` and ``head``, as ``grad_cam`` does; to attack
    another layer pass ``ja.attacks.naa(*model.split(layer))`` instead.
    """
    return tuple(_ATTACKS)


def as_attack(attack: str | Attack) -> Attack:
    """An ``Attack``, or the one of that name with its published settings."""
    if isinstance(attack, Attack):
        return attack
    return _ATTACKS[check_choice("attack", attack, _ATTACKS)]()
