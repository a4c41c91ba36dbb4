"""The members of a boundary search by name, and whatever may stand for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jaxattr._checks import check_choice, fail
from jaxattr.attacks import registry
from jaxattr.attacks.attack import Attack
from jaxattr.boundaries.apgd import apgd_ce, apgd_dlr
from jaxattr.boundaries.carlini_wagner import carlini_wagner
from jaxattr.boundaries.ddn import ddn
from jaxattr.boundaries.deepfool import deepfool
from jaxattr.boundaries.fab import fab
from jaxattr.boundaries.projected import at_radii, pgd_l2, pgd_linf
from jaxattr.boundaries.search import Member

_MEMBERS: dict[str, Callable[..., Member]] = {
    "deepfool": deepfool,
    "ddn": ddn,
    "fab": fab,
    "pgd_l2": pgd_l2,
    "pgd_linf": pgd_linf,
    "apgd_ce": apgd_ce,
    "apgd_dlr": apgd_dlr,
    "carlini_wagner": carlini_wagner,
}


def boundary_names() -> tuple[str, ...]:
    """The members of the default search: functions of ``ja.attacks`` with budgets."""
    return tuple(_MEMBERS)


def as_members(search: Any) -> tuple[Member, ...]:
    """Members, names of members or of step attacks, one or several, as members.

    A text may name several, with commas between them; ``all`` are those of the default.

    Raises:
      ValueError: an empty list, an unknown name, something else.
    """
    if search is None or (isinstance(search, str) and search == "all"):
        search = boundary_names()
    if isinstance(search, str):
        names = tuple(name.strip() for name in search.split(","))
        if not all(names):
            raise fail("search", "a name, or several with commas between them", search)
        search = names
    if isinstance(search, Member | Attack):
        search = (search,)
    if not isinstance(search, Sequence):
        raise fail("search", "members of a boundary search, in a list or alone", search)
    if not search:
        raise fail("search", "at least one member, such as 'ddn'", search)
    return tuple(_as_member(member) for member in search)


def _as_member(member: Any) -> Member:
    if isinstance(member, Member):
        return member
    if isinstance(member, Attack):
        return at_radii(member)
    if not isinstance(member, str):
        raise fail("search", "names, members or attacks", member)
    if member in _MEMBERS:
        return _MEMBERS[member]()
    # A search has no model in two halves, as naa needs it.
    attacks = [name for name in registry.names() if name != "naa"]
    check_choice("search", member, (*_MEMBERS, *attacks))
    return at_radii(registry.as_attack(member), name=member)
