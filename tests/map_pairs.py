"""Pairs of maps that metrics find hard, and plain loops that say what they should."""

from __future__ import annotations

import itertools

import numpy as np


def pairs(
    n: int = 2, h: int = 9, w: int = 7
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(5)
    draw = lambda: rng.standard_normal((n, h, w)).astype(np.float32)
    edge = np.zeros((n, h, w), np.float32)
    edge[:, 0, :], edge[:, :, -1], edge[:, -1, 0] = 3, 2, 1
    sparse = np.where(rng.random((n, h, w)) < 0.8, 0, draw()).astype(np.float32)
    signed_zeros = np.where(rng.random((n, h, w)) < 0.5, -0.0, 0.0).astype(np.float32)
    infinite = draw()
    infinite[:, 2, 3], infinite[:, 4, 1] = np.inf, -np.inf
    ramp = np.broadcast_to(np.arange(h * w).reshape(h, w), (n, h, w)).astype(np.float32)
    return {
        "random": (draw(), draw()),
        "tied": (np.round(draw()), np.round(draw())),
        "constant": (np.ones((n, h, w), np.float32), draw()),
        "both constant": (np.ones((n, h, w), np.float32),) * 2,
        "edges": (edge, edge[:, ::-1, ::-1].copy()),
        "sparse": (sparse, np.roll(sparse, 1, axis=2)),
        "signed zeros": (signed_zeros, draw()),
        "infinite": (infinite, draw()),
        "ramp": (ramp.copy(), -ramp),
    }


def top_k(a: np.ndarray, k: int) -> set[tuple[int, int]]:
    """The k largest; the first of equals."""
    places = itertools.product(*map(range, a.shape))
    return set(sorted(places, key=lambda p: (-a[p], p))[:k])


def greedy(a: np.ndarray, k: int, window: int) -> set[tuple[int, int]]:
    """Take the best, strike out its window, repeat."""
    left = sorted(itertools.product(*map(range, a.shape)), key=lambda p: (-a[p], p))
    taken: list[tuple[int, int]] = []
    while left and len(taken) < k:
        best = left[0]
        taken.append(best)
        left = [p for p in left if distance(p, best) > window]
    return set(taken)


def distance(p: tuple[int, int], q: tuple[int, int]) -> int:
    return max(abs(p[0] - q[0]), abs(p[1] - q[1]))


def near(p: tuple[int, int], places: set[tuple[int, int]], window: int) -> bool:
    return any(distance(p, q) <= window for q in places)


def released_greedy(a: np.ndarray, k: int, window: int, pool: int) -> list[int]:
    """The loop of the released scripts, on flat places: its quirks are theirs."""
    width = a.shape[1]
    flat = a.ravel()
    order = sorted(range(flat.size), key=lambda i: (-flat[i], i))
    # Only places above zero are ever looked at.
    order = [i for i in order if i > 0][:pool]
    steps = range(-window, window + 1)
    around = lambda i: {i + r * width + c for r in steps for c in steps}
    taken = [order[0]]
    order = [i for i in order if i not in around(order[0])]
    while len(taken) < k and order:
        head = order[0] if len(taken) == 1 else taken[-1]
        order = [i for i in order if i not in around(head)]
        if order:
            taken.append(order[0])
    return taken


def released_recall(a: set[int], b: set[int], k: int, window: int, width: int) -> float:
    steps = range(-window, window + 1)
    dilated = {i + r * width + c for i in a for r in steps for c in steps}
    return len({i for i in dilated if i > 0} & b) / k
