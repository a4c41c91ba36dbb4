"""Every step attack from its equations in plain loops that replay the library's draws.

Gradients are the model's; all else is numpy and scipy in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
import scipy.ndimage
import toys

import jaxattr as ja
from jaxattr import _random, perturbations, steps
from jaxattr.attacks.block_transforms import _OPERATIONS as OPERATIONS
from jaxattr.frequencies import weighted_copies

H, W = 8, 7
PARAMS = toys.init_smooth(jax.random.key(2), H, W)
EPSILON, STEPS, SAMPLES = 16 / 255, 3, 4
ALPHA = EPSILON / STEPS
SIGMA = 16 / 255
RHO = 0.5
LOOKING_AHEAD = ("ni_fgsm", "si_ni_fgsm", "vni_fgsm")
SHRINKING = ("gra", "fgsra")


def model(x):
    return toys.smooth_logits(PARAMS, x)


def features(x):
    return jnp.tanh(x.reshape(len(x), -1) @ PARAMS["hidden"].astype(x.dtype))


def head(values):
    return values @ PARAMS["head"].astype(values.dtype)


model.features, model.head = features, head

SMALL = {
    "vmi_fgsm": {"num_samples": SAMPLES},
    "vni_fgsm": {"num_samples": SAMPLES},
    "ssa": {"num_samples": SAMPLES},
    "mig": {"num_points": SAMPLES},
    "gra": {"num_samples": SAMPLES},
    "pgn": {"num_samples": SAMPLES},
    "fgsra": {"num_samples": SAMPLES},
    "sia": {"num_samples": SAMPLES},
    "attexplore": {"num_samples": SAMPLES},
    "fampe": {"num_samples": SAMPLES},
    "naa": {"features": features, "head": head, "num_points": SAMPLES},
}


def attack(name, **options):
    """The library's, with few samples."""
    return getattr(ja.attacks, name)(**SMALL.get(name, {}) | options)


class Followed(NamedTuple):
    """What a loop found."""

    images: np.ndarray
    """Where it ended."""
    direction: np.ndarray
    """The map of AttEXplore++ with the attack's direction as integrand."""
    gradient: np.ndarray
    """And with the plain gradient."""


def follow(name, images, labels, keys, *, sign=1, **options):
    """The attack on float64 ``images``, up or down the loss, with a key an image.

    Args:
      name: of the attack, with the settings of ``SMALL``.
      images: ``(N, H, W, C)``.
      labels: ``(N,)``.
      keys: ``(N,)``.
      sign: 1 to raise the loss, -1 to lower it.
      options: of ``fampe``.
    """
    problem = _Problem(np.asarray(images), labels, keys, sign)
    direction = _DIRECTIONS[name](problem, **options)
    num_steps = 1 if name == "fgsm" else STEPS
    step_size = {"fgsm": EPSILON, "pgd": 2.5 * ALPHA}.get(name, ALPHA)
    x, d = problem.images, np.zeros_like(problem.images)
    if name == "pgd":
        x = problem.projected(x + EPSILON * problem.uniform(problem.path_keys))
    scale, last = np.full_like(x, 1 / 0.94), np.zeros_like(x)
    by_direction = by_gradient = 0
    for t in range(num_steps):
        at = x + sign * ALPHA * d if name in LOOKING_AHEAD else x
        g = direction(_random.fold_in(keys, t), at)
        d = g if name in ("fgsm", "bim", "pgd") else d + g / mean_size(g)
        if name in SHRINKING:
            scale = scale * np.where(np.sign(d) == last, 1.0, 0.94)
            last = np.sign(d)
        sized = scale if name in SHRINKING else 1.0
        moved = problem.projected(x + sign * step_size * sized * np.sign(d))
        by_direction = by_direction + sign * (moved - x) * d
        by_gradient = by_gradient + sign * (moved - x) * problem.gradient(x)
        x = moved
    return Followed(x, by_direction, by_gradient)


class _Problem:
    """Images, labels and the gradient of the loss, and how draws are replayed."""

    def __init__(self, images, labels, keys, sign):
        self.images, self.labels, self.sign = images, labels, sign
        self.path_keys = _random.fold_in(keys, STEPS)
        self._compiled = {
            score: jax.jit(jax.grad(lambda x, s=score: jnp.sum(s(model, labels)(x))))
            for score in (ja.scores.cross_entropy, ja.scores.logit)
        }

    def gradient(self, x, score=ja.scores.cross_entropy):
        return np.asarray(self._compiled[score](jnp.asarray(x)))

    def diverse_gradient(self, x, keys, rate):
        """The gradient at x of the loss behind random resizing and padding."""
        diverse = perturbations.input_diversity(0.5, rate)
        score = ja.scores.cross_entropy(model, self.labels)
        through = jax.grad(lambda x: jnp.sum(score(diverse(x)(keys))))
        return np.asarray(through(jnp.asarray(x)))

    def projected(self, x):
        moved = np.clip(x - self.images, -EPSILON, EPSILON)
        return np.clip(self.images + moved, 0, 1)

    def uniform(self, keys, low=-1.0, high=1.0, shape=None):
        shape = self.images.shape[1:] if shape is None else shape
        draw = lambda key: jax.random.uniform(key, shape, float, low, high)
        return np.stack([np.asarray(draw(key)) for key in keys])

    def normal(self, keys, shape=None):
        shape = self.images.shape[1:] if shape is None else shape
        draw = lambda key: jax.random.normal(key, shape, float)
        return np.stack([np.asarray(draw(key)) for key in keys])


def mean_size(g):
    return np.abs(g).mean((1, 2, 3), keepdims=True)


def cosine(a, b):
    dot, *squares = (
        (x * y).sum((1, 2, 3), keepdims=True) for x, y in ((a, b), (a, a), (b, b))
    )
    return dot / np.sqrt(squares[0] * squares[1])


def smoothed(g, size):
    """Each channel of each image with the Gaussian kernel, zeros beyond the border."""
    kernel = np.outer(steps.gaussian_kernel(size), steps.gaussian_kernel(size))
    out = np.empty_like(g)
    for i in range(len(g)):
        for c in range(g.shape[-1]):
            out[i, ..., c] = scipy.ndimage.convolve(
                g[i, ..., c], kernel, mode="constant"
            )
    return out


def halves(keys, n):
    """The keys of sample n for where it lies and for what it is seen through."""
    return _random.split(_random.fold_in(keys, n), 2)


def dct(x):
    return scipy.fft.dctn(x, axes=(1, 2), norm="ortho")


def idct(x):
    return scipy.fft.idctn(x, axes=(1, 2), norm="ortho")


def _plain(p):
    return lambda keys, at: p.gradient(at)


def _scaled_copies(p):
    return lambda keys, at: sum(p.gradient(at / 2**i) / 2**i for i in range(5)) / 5


def _neighbours(p, keys, at, beta):
    near = [at + beta * EPSILON * p.uniform(halves(keys, n)[0]) for n in range(SAMPLES)]
    return sum(map(p.gradient, near)) / SAMPLES


def _variance_tuned(p):
    variance = 0.0

    def direction(keys, at):
        nonlocal variance
        plain = p.gradient(at)
        g = plain + variance
        variance = _neighbours(p, keys, at, 1.5) - plain
        return g

    return direction


def _spectral(p):
    def direction(keys, at):
        copies = perturbations.spectral_copies(SIGMA, RHO)(jnp.asarray(at))
        near = [copies(halves(keys, n)[0]) for n in range(SAMPLES)]
        return sum(map(p.gradient, near)) / SAMPLES

    return direction


def _diverse_spectral(p):
    """AttEXplore's: spectral copies, each seen through a resizing of its own."""

    def direction(keys, at):
        copies, total = perturbations.spectral_copies(SIGMA, RHO)(jnp.asarray(at)), 0
        for n in range(SAMPLES):
            place, through = halves(keys, n)
            total = total + p.diverse_gradient(copies(place), through, 1.15)
        return smoothed(total / SAMPLES, 7)

    return direction


def _integrated(p):
    def direction(keys, at):
        points = [at * i / SAMPLES for i in range(1, SAMPLES + 1)]
        return -at * sum(p.gradient(x, ja.scores.logit) for x in points) / SAMPLES

    return direction


def _relevant(p):
    def direction(keys, at):
        plain, mean = p.gradient(at), _neighbours(p, keys, at, 3.5)
        s = cosine(plain, mean)
        return s * plain + (1 - s) * mean

    return direction


def _flat(p):
    def direction(keys, at):
        g = 0
        for n in range(SAMPLES):
            near = at + 3 * EPSILON * p.uniform(_random.fold_in(keys, n))
            first = p.gradient(near)
            second = p.gradient(near - p.sign * ALPHA * first / mean_size(first))
            g = g + 0.5 * (first + second) / SAMPLES
        return g

    return direction


def _diverse(p):
    return lambda keys, at: p.diverse_gradient(at, halves(keys, 0)[1], 1.1)


def _smooth(p):
    return lambda keys, at: smoothed(p.gradient(at), 15)


def _relevant_copies(p):
    """FGSRA: spectral neighbours weighed by their cosine with the point."""

    def direction(keys, at):
        weights, gradients = [], []
        for n in range(SAMPLES):
            place, through = halves(keys, n)
            noise_keys, gain_keys = _random.split(place, 2)
            z = at + 3.5 * EPSILON * p.uniform(noise_keys)
            z = idct(dct(z) * p.uniform(gain_keys, 1 - RHO, 1 + RHO))
            weights.append(np.exp(cosine(at, z)))
            gradients.append(p.diverse_gradient(z, through, 1.15))
        mean = sum(w * g for w, g in zip(weights, gradients, strict=True))
        mean = mean / sum(weights)
        plain = p.gradient(at)
        s = cosine(plain, mean)
        return smoothed(s * plain + (1 - s) * mean, 7)

    return direction


def _blocks(p):
    """SIA: the gradient behind transforms of random blocks, block by block."""

    def direction(keys, at):
        total = np.zeros_like(at)
        for n in range(SAMPLES):
            through = halves(keys, n)[1]
            pairs = [in_blocks(x, key) for x, key in zip(at, through, strict=True)]
            g = p.gradient(np.stack([moved for moved, _ in pairs]))
            total += np.stack([back(g[i]) for i, (_, back) in enumerate(pairs)])
        return total / SAMPLES

    return direction


def in_blocks(image, key, *, blocks=3, noise=SIGMA):
    """One image transformed, and how a gradient of it is carried back."""
    cut_key, block_key, noise_key = jax.random.split(key, 3)
    edges = []
    for k, size in zip(jax.random.split(cut_key), image.shape[:2], strict=True):
        order = np.argsort(np.asarray(jax.random.uniform(k, (size,)))[1:]) + 1
        edges.append([0, *sorted(order[: blocks - 1]), size])
    kind_key, roll_key, gain_key = jax.random.split(block_key, 3)
    shape = (blocks, blocks)
    kinds = np.asarray(jax.random.randint(kind_key, shape, 0, len(OPERATIONS)))
    rolls = np.asarray(jax.random.uniform(roll_key, shape, float))
    gains = np.asarray(jax.random.uniform(gain_key, shape, float))
    draws = np.asarray(jax.random.uniform(noise_key, image.shape, float, -1.0, 1.0))
    moved, ways_back = np.empty_like(image), []
    for i in range(blocks):
        for j in range(blocks):
            at = (slice(*edges[0][i : i + 2]), slice(*edges[1][j : j + 2]))
            forth, back = _block_operation(
                OPERATIONS[kinds[i, j]], rolls[i, j], gains[i, j], noise * draws[at]
            )
            moved[at] = forth(image[at])
            ways_back.append((at, back))

    def carried_back(g):
        out = np.empty_like(g)
        for at, back in ways_back:
            out[at] = back(g[at], image[at])
        return out

    return moved, carried_back


def _block_operation(kind, roll, gain, noise):
    """What happens to a block, and its transpose, which may look at the block."""
    if kind in ("roll_rows", "roll_columns"):
        axis = int(kind == "roll_columns")
        shift = int(roll * noise.shape[axis])
        return (
            lambda b: np.roll(b, shift, axis),
            lambda g, b: np.roll(g, -shift, axis),
        )
    if kind == "scale":
        return lambda b: gain * b, lambda g, b: gain * g
    if kind == "noise":
        inside = lambda b: (b + noise > 0) & (b + noise < 1)
        return lambda b: np.clip(b + noise, 0, 1), lambda g, b: g * inside(b)
    axes = {"flip_rows": (0,), "flip_columns": (1,), "rotate_half": (0, 1)}[kind]
    return lambda b: np.flip(b, axes), lambda g, b: np.flip(g, axes)


def _against_features(p):
    """NAA: the weights are taken once, on the way from black to noisy copies."""
    rows = jnp.arange(len(p.images))
    speaks = lambda f: jnp.sum(jax.nn.softmax(head(f))[rows, p.labels])
    total = 0
    for step in range(SAMPLES):
        noise = 0.2 * p.normal(_random.fold_in(p.path_keys, step))
        at = jnp.asarray((p.images + noise) * (1 - step / SAMPLES))
        total = total + np.asarray(jax.grad(speaks)(features(at)))
    w = -total / np.sqrt((total**2).sum(1, keepdims=True))
    base = features(jnp.zeros_like(p.images))
    against = jax.grad(lambda x: jnp.sum(jnp.mean((features(x) - base) * w, axis=1)))
    return lambda keys, at: np.asarray(against(jnp.asarray(at)))


def _in_bands(p, *, alpha=0.1, energy=0.9, diversity_probability=0.5):
    """FAMPE: low frequencies weighed by alpha, high ones by one minus alpha."""
    u, v = np.fft.fftfreq(H, 1 / H), np.fft.rfftfreq(W, 1 / W)
    radius = np.hypot(u[:, None], v[None, :])[None]
    cutoff = np.asarray(weighted_copies.energy_cutoff(jnp.asarray(p.images), energy))
    low = radius <= cutoff[:, None, None]
    weights = 2 * np.where(low, alpha, 1 - alpha)[..., None]
    # Parseval: HW in all, half of it in each part, twice that where ±u are averaged.
    deviations = np.full((W // 2 + 1, 1), np.sqrt(H * W / 2))
    deviations[[0] + [W // 2] * (W % 2 == 0)] *= np.sqrt(2)
    forth = lambda x: np.fft.rfft2(x, axes=(1, 2))
    back = lambda s: np.fft.irfft2(s, (H, W), axes=(1, 2))

    def direction(keys, at):
        g = 0
        for n in range(SAMPLES):
            place, through = halves(keys, n)
            noise_keys, gain_keys = _random.split(place, 2)
            half = (at.shape[-1], H, W // 2 + 1)
            last = lambda x: np.moveaxis(x, -3, -1)
            real, imaginary = np.moveaxis(p.normal(noise_keys, (2, *half)), 1, 0)
            noise = SIGMA * deviations * last(real + 1j * imaginary)
            gain = last(p.uniform(gain_keys, shape=half))
            z = back((1 + RHO * weights * gain) * (forth(at) + weights * noise))
            found = p.gradient(z)
            if diversity_probability:
                found = p.diverse_gradient(z, through, 1.15)
            g = g + found / SAMPLES
        return smoothed(g, 7)

    return direction


_DIRECTIONS = {
    "fgsm": _plain,
    "bim": _plain,
    "pgd": _plain,
    "mi_fgsm": _plain,
    "ni_fgsm": _plain,
    "si_ni_fgsm": _scaled_copies,
    "di_fgsm": _diverse,
    "ti_fgsm": _smooth,
    "vmi_fgsm": _variance_tuned,
    "vni_fgsm": _variance_tuned,
    "ssa": _spectral,
    "attexplore": _diverse_spectral,
    "mig": _integrated,
    "gra": _relevant,
    "pgn": _flat,
    "fgsra": _relevant_copies,
    "sia": _blocks,
    "naa": _against_features,
    "fampe": _in_bands,
}
