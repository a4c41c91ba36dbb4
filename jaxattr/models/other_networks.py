"""Which network a checkpoint is of that does not fit the one that was asked for."""

from __future__ import annotations

from jaxattr.models.catalog import MODELS
from jaxattr.models.convert import Tensors
from jaxattr.models.entries import Source

ALIKE = 0.6
"""Share of the names that both have, from which a network is worth naming."""
SHOWN = 3
"""Names that are shown of each layout."""


def hint(asked: str, tensors: Tensors) -> str:
    """The networks whose names these are, or what the names are and would have to be.

    Empty where the names are those of the network that was asked for.
    """
    found = {name.rpartition(".")[0] or name for name in tensors}
    shares = {
        (name, source): _share(found, entry)
        for name, model in MODELS.items()
        for source, entry in model.sources.items()
    }
    own = max(shares[asked, source] for source in MODELS[asked].sources)
    best = max(shares.values())
    if own == best >= ALIKE:
        return ""
    if best >= ALIKE:
        names = [f"{n} ({s})" for (n, s), share in shares.items() if share == best]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        exactly = "those" if best == 1 else "most like those"
        return f"; its names are {exactly} of {' or '.join(names[:SHOWN])}{more}"
    layouts = " or ".join(
        f"{', '.join(rule.theirs for rule in entry.rules()[:SHOWN])}, ... ({source})"
        for source, entry in MODELS[asked].sources.items()
    )
    begin = ", ".join(list(tensors)[:SHOWN])
    return f"; its names are {begin}, ..., and those of {asked} {layouts}"


def _share(found: set[str], source: Source) -> float:
    """Of the modules by name that either has, those that both have."""
    wanted = set()
    for rule in source.rules():
        wanted |= {rule.theirs, getattr(rule, "norm", None) or rule.theirs}
    return len(found & wanted) / len(found | wanted)
