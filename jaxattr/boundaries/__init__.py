"""The nearest decision boundary: members of a search, bisection, its derivative."""

from jaxattr.boundaries.apgd import apgd_ce, apgd_dlr
from jaxattr.boundaries.carlini_wagner import carlini_wagner
from jaxattr.boundaries.ddn import ddn
from jaxattr.boundaries.deepfool import deepfool
from jaxattr.boundaries.diagnosis import diagnose
from jaxattr.boundaries.fab import fab
from jaxattr.boundaries.member import Member
from jaxattr.boundaries.nearest import BoundaryPoint, nearest_boundary
from jaxattr.boundaries.projected import at_radii, pgd_l2, pgd_linf, pgd_released
from jaxattr.boundaries.search import BoundarySearch, boundary_names

__all__ = [
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
    "diagnose",
    "fab",
    "nearest_boundary",
    "pgd_l2",
    "pgd_linf",
    "pgd_released",
]
