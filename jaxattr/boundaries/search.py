"""A search for the nearest boundary: its members and options, checked once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from jaxattr._checks import (
    check_bounds,
    check_choice,
    check_integer,
    check_number,
    fail,
)
from jaxattr._pixels import IMAGENET_MEAN, IMAGENET_STDDEV
from jaxattr.attacks import registry
from jaxattr.attacks.attack import Attack
from jaxattr.boundaries import implicit
from jaxattr.boundaries.apgd import apgd_ce, apgd_dlr
from jaxattr.boundaries.carlini_wagner import carlini_wagner
from jaxattr.boundaries.ddn import ddn
from jaxattr.boundaries.deepfool import deepfool
from jaxattr.boundaries.fab import fab
from jaxattr.boundaries.member import NORMS, Member
from jaxattr.boundaries.projected import at_radii, pgd_l2, pgd_linf, pgd_released
from jaxattr.typing import Bounds

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

OneMember: TypeAlias = Member | Attack | str
Members: TypeAlias = OneMember | Sequence[OneMember] | None
"""Members, step attacks or their names, one or several; None for the default."""


class Units(NamedTuple):
    """What a network is given: ``(x - mean) / stddev``, one number a channel."""

    mean: tuple[float, ...]
    stddev: tuple[float, ...]


@dataclasses.dataclass(frozen=True, init=False)
class BoundarySearch:
    """How the nearest point of another class is searched for; checked when made.

    What ``nearest_boundary``, ``bsm``, ``big`` and ``bsg`` take as ``search``. Two of
    the same names and options are equal, and it is hashable where ``bounds`` are: a
    static argument of a jitted function.

    Args:
      members: what looks for the boundary: members (``ja.boundaries.ddn(num_steps=40)``)
        or names of ``ja.boundaries.boundary_names()``, or step attacks or their names
        (``ja.attacks.names()``), which are tried over L∞ radii. One will do, several
        are a list or a text with commas. By default, or by ``"all"``, one of each name:
        at most 1,041 forward and 941 backward passes an image. PGD, APGD and step
        attacks are done at the first radius that serves, DeepFool where an image is
        across; DDN, FAB and Carlini-Wagner refine to the end of their budgets.
      num_bisections: forward passes for each member; each halves the segment from the
        image to the point that was found. 0 for none.
      norm: how distances are measured and compared: ``l1``, ``l2`` or ``linf``. Members
        have norms of their own, which this does not change.
      bounds: the least and the largest pixel value.
      side: ``outside``, the end of the last interval that is of another class, or
        ``inside``, the end that is of the same class.
      leave: ``predicted``: the class to leave is what the model predicts at the image.
        ``label``: it is the label, and an image that is misclassified already is its
        own point: its distance is 0 and has derivative zero, the point that of the
        image.
      gradient: how the point depends on image and parameters, when it is
        differentiated: ``ray`` holds its direction from the image, ``nearest`` holds
        that it is nearest, which takes a Hessian and a linear system of the size of an
        image, of at most 4,096 values, and ``norm="l2"``.

    Raises:
      ValueError: no member, an unknown name, an option out of range.

    Example:
      >>> import jaxattr as ja
      >>> search = ja.BoundarySearch("ddn,fab", norm="linf")
      >>> [member.name for member in search.members], search.num_bisections
      (['ddn', 'fab'], 20)
      >>> search == ja.BoundarySearch(["ddn", "fab"], norm="linf")
      True
    """

    members: tuple[Member, ...]
    num_bisections: int
    norm: str
    bounds: Bounds
    side: str
    leave: str
    gradient: str
    _units: Units | None

    def __init__(
        self,
        members: Members = None,
        *,
        num_bisections: int = 20,
        norm: str = "l2",
        bounds: Bounds = (0.0, 1.0),
        side: str = "outside",
        leave: str = "predicted",
        gradient: str = "ray",
        _units: Units | None = None,
    ) -> None:
        check_choice("gradient", gradient, implicit.GRADIENTS)
        check_choice("side", side, ("outside", "inside"))
        check_choice("leave", leave, ("predicted", "label"))
        check_choice("norm", norm, NORMS)
        if gradient == "nearest" and norm != "l2":
            raise fail("norm", "'l2' for gradient='nearest'", norm)
        checked = {
            "members": as_members(members),
            "num_bisections": check_integer("num_bisections", num_bisections, 0),
            "norm": norm,
            "bounds": check_bounds(bounds),
            "side": side,
            "leave": leave,
            "gradient": gradient,
            "_units": _units,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def released(
        cls,
        *,
        units: str | Sequence[Sequence[float]] = "normalized",
        norm: str = "l2",
        bounds: Bounds = (0.0, 1.0),
        leave: str = "predicted",
        gradient: str = "ray",
    ) -> BoundarySearch:
        """The search of the code published with boundary attributions.

        ``ja.boundaries.pgd_released`` alone, without bisection. It is the released
        search but for its bounds, which are there one interval for all channels of what
        the network is given; nor is the quadrature of the released ``big`` replayed,
        whose weights sum to ``(n - 1) / n``.

        Args:
          units: what radii and distances are measured in, as published
            ``normalized``, network units: the search runs on ``(x - mean) / stddev``
            with the mean and standard deviation of ImageNet. A pair (mean, standard
            deviation), one number a channel, for other networks, or ``pixels``.
            Images, bounds, points and maps are in pixels all the same.
          norm: as in ``BoundarySearch``.
          bounds: as in ``BoundarySearch``.
          leave: as in ``BoundarySearch``.
          gradient: as in ``BoundarySearch``.

        Raises:
          ValueError: unknown units, an option out of range.

        References:
          Wang, Fredrikson, Datta. Robust Models Are More Interpretable Because
          Attributions Look Normal. ICML 2022, arXiv:2103.11257; the released code of
          2021.
        """
        return cls(
            _of_default_budget("pgd_released"),
            num_bisections=0,
            norm=norm,
            bounds=bounds,
            leave=leave,
            gradient=gradient,
            _units=_as_units(units),
        )

    @property
    def units(self) -> Units | None:
        """Those of ``released``; None for pixels."""
        return self._units

    @property
    def needs_key(self) -> bool:
        """Whether a member draws at random."""
        return any(member.needs_key for member in self.members)


def as_search(search: BoundarySearch | Members) -> BoundarySearch:
    """A search, or what may stand for one: its members, ``released``, or None.

    Raises:
      ValueError: as ``BoundarySearch``.
    """
    if isinstance(search, BoundarySearch):
        return search
    if isinstance(search, str) and search == "released":
        return BoundarySearch.released()
    return BoundarySearch(search)


def boundary_names() -> tuple[str, ...]:
    """The members of the default search, functions of ``ja.boundaries``."""
    return tuple(_MEMBERS)


def as_members(members: Members) -> tuple[Member, ...]:
    """Members, names of members or of step attacks, one or several, as members.

    A text may name several, with commas between them; ``all`` are those of the default.

    Raises:
      ValueError: an empty list, an unknown name, something else.
    """
    if members is None or (isinstance(members, str) and members == "all"):
        members = boundary_names()
    several: object = members
    if isinstance(members, str):
        several = [name.strip() for name in members.split(",")]
        if not all(several):
            raise fail("search", "a name, or several with commas between them", members)
    elif isinstance(members, Member | Attack):
        several = [members]
    if not isinstance(several, Sequence):
        expected = "members of a boundary search, in a list or alone"
        raise fail("search", expected, members)
    if not several:
        raise fail("search", "at least one member, such as 'ddn'", members)
    return tuple(_as_member(member) for member in several)


def _as_member(member: OneMember) -> Member:
    if isinstance(member, Member):
        return member
    if isinstance(member, Attack):
        return at_radii(member)
    if not isinstance(member, str):
        raise fail("search", "names, members or attacks", member)
    # A search has no model in two halves, as naa needs it.
    attacks = [name for name in registry.names() if name != "naa"]
    check_choice("search", member, (*_MEMBERS, *attacks, "all", "released"))
    if member in ("all", "released"):
        expected = "members ('all' stands alone; BoundarySearch.released() is a search)"
        raise fail("search", expected, member)
    return _of_default_budget(member)


@functools.cache
def _of_default_budget(name: str) -> Member:
    """One object for each name, so that searches of the same names are equal."""
    if name == "pgd_released":
        return pgd_released()
    if name in _MEMBERS:
        return _MEMBERS[name]()
    return at_radii(registry.as_attack(name), name=name)


def _as_units(units: str | Sequence[Sequence[float]]) -> Units | None:
    """Mean and standard deviation of each channel; None for pixels."""
    if isinstance(units, str) and units == "pixels":
        return None
    if isinstance(units, str) and units == "normalized":
        return Units(IMAGENET_MEAN, IMAGENET_STDDEV)
    expected = (
        "'pixels', 'normalized', or as many means as standard deviations above zero, "
        "one of each a channel"
    )
    if isinstance(units, str):
        raise fail("units", expected, units)
    try:
        mean, stddev = (
            tuple(check_number("units", value) for value in values) for values in units
        )
    except (TypeError, ValueError):
        raise fail("units", expected, units) from None
    if len(mean) != len(stddev) or not min(stddev, default=0.0) > 0:
        raise fail("units", expected, units)
    return Units(mean, stddev)
