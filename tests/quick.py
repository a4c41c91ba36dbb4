"""Which of many like cases the default suite runs; ``make test-all`` runs all."""

from collections.abc import Iterable
from typing import Any

import pytest


def quick(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """All cases, of which those that are not kept are slow."""
    return [
        case if case in kept else pytest.param(case, marks=pytest.mark.slow)
        for case in cases
    ]
