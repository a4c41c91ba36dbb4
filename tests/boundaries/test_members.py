"""Every member of a boundary search against its equations in a plain loop, float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja
from jaxattr import _random, boundaries
from jaxattr.boundaries import apgd as apgd_module
from jaxattr.boundaries.apgd import checkpoints, difference_of_logits_ratio
from jaxattr.boundaries.member import Best, BoundaryTask, over_radii, random_direction

KEY = jax.random.key(23)
PARAMS = toys.init_smooth(jax.random.key(2), 4, 5, 1)
LOW, HIGH = 0.05, 0.95
RADII = (0.05, 0.4, 1.5)
STEPS = 12
MEMBERS = {
    "pgd_l2": boundaries.pgd_l2(radii=RADII, num_steps=STEPS),
    "pgd_linf": boundaries.pgd_linf(radii=(0.01, 0.1, 0.4), num_steps=STEPS),
    "pgd_released": boundaries.pgd_released(radii=RADII, num_steps=STEPS),
    "apgd_ce": boundaries.apgd_ce(radii=RADII, num_steps=STEPS),
    "apgd_dlr": boundaries.apgd_dlr(radii=RADII, num_steps=STEPS),
    "apgd_linf": boundaries.apgd_ce(radii=(0.01, 0.3), num_steps=STEPS, norm="linf"),
    "carlini_wagner": boundaries.carlini_wagner(
        num_searches=4, num_steps=STEPS, step_size=0.05
    ),
    "ddn": boundaries.ddn(num_steps=STEPS, initial_radius=0.5),
    "deepfool": boundaries.deepfool(num_steps=4),
    "deepfool_l1": boundaries.deepfool(num_steps=4, norm="l1"),
    "deepfool_linf": boundaries.deepfool(num_steps=4, norm="linf", num_candidates=2),
    "fab": boundaries.fab(num_steps=STEPS),
}
# The same code as another, in another norm or with another score.
SLOW = (
    *("apgd_ce", "apgd_dlr", "apgd_linf", "deepfool_l1", "deepfool_linf"),
    *("pgd_linf", "pgd_released", "pgd_l2", "carlini_wagner", "ddn"),
)
SCORES = {"dlr": difference_of_logits_ratio, "ce": ja.scores.cross_entropy}


def model(x):
    return toys.smooth_logits(PARAMS, x)


def logits_of(x):
    weights = {k: np.asarray(v, np.float64) for k, v in PARAMS.items()}
    return np.tanh(x.reshape(-1) @ weights["hidden"]) @ weights["head"]


@functools.cache
def value_and_gradient(score, label):
    """Value and gradient of a score at one image."""
    of = lambda x: score(model, jnp.array([label]))(x[None])[0]
    both = jax.jit(jax.value_and_grad(of))
    return lambda x: tuple(np.asarray(v) for v in both(jnp.asarray(x)))


def norm(x):
    return np.sqrt((x**2).sum())


class Closest:
    """The closest point of another class among those shown."""

    def __init__(self, x0, label):
        self.x0, self.label = x0, label
        self.point, self.distance = x0, np.inf

    def see(self, x):
        is_other = logits_of(x).argmax() != self.label
        if is_other and norm(x - self.x0) < self.distance:
            self.point, self.distance = x, norm(x - self.x0)
        return is_other


def clip(x):
    return np.clip(x, LOW, HIGH)


def project(x, x0, radius, kind):
    if kind == "linf":
        return clip(x0 + np.clip(x - x0, -radius, radius))
    return clip(x0 + (x - x0) * min(1, radius / max(norm(x - x0), 1e-300)))


def starts(key, x0, radius, kind, *, sphere=False):
    keys, images = key[None], jnp.asarray(x0)[None]
    place = np.asarray(random_direction(keys, images, kind))[0]
    if sphere:
        return place / np.abs(place).max() if kind == "linf" else place
    if kind == "l2":
        share = _random.uniform(_random.fold_in(keys, 1), (1, 1, 1), float)
        place = place * float(share[0, 0, 0, 0]) ** (1 / x0.size)
    return place


def pgd(x0, label, key, *, kind, radii, step, last_only=False):
    for i, radius in enumerate(radii):
        best = Closest(x0, label)
        image_key = jax.random.fold_in(key, i)
        x = project(x0 + radius * starts(image_key, x0, radius, kind), x0, radius, kind)
        for _ in range(STEPS):
            if not last_only:
                best.see(x)
            _, g = value_and_gradient(ja.scores.cross_entropy, label)(x)
            d = np.sign(g) if kind == "linf" else g / norm(g)
            x = project(x + step(radius) * d, x0, radius, kind)
        best.see(x)
        if best.distance < np.inf:
            break
    return best


def apgd(x0, label, key, *, kind, radii, score, steps=STEPS, visited=None):
    visited = [] if visited is None else visited
    for i, radius in enumerate(radii):
        best = Closest(x0, label)
        noise = starts(jax.random.fold_in(key, i), x0, radius, kind, sphere=True)
        x = previous = project(x0 + radius * noise, x0, radius, kind)
        f, g = value_and_gradient(score, label)(x)
        best.see(x)
        visited.append(x)
        f_best, x_best, g_best = f, x, g
        eta, losses, k, since = 2 * radius, [f], max(int(0.22 * steps), 1), 0
        reduced, f_then = True, f
        for t in range(steps):
            a = 0.75 if t else 1.0
            d = np.sign(g) if kind == "linf" else g / norm(g)
            z = project(x + eta * d, x0, radius, kind)
            moved = x + a * (z - x) + (1 - a) * (x - previous)
            previous, x = x, project(moved, x0, radius, kind)
            f, g = value_and_gradient(score, label)(x)
            best.see(x)
            visited.append(x)
            losses.append(f)
            if f > f_best:
                f_best, x_best, g_best = f, x, g
            since += 1
            if since == k:
                rises = sum(losses[-j] > losses[-j - 1] for j in range(1, k + 1))
                halve = rises <= 0.75 * k or (not reduced and f_then >= f_best)
                reduced, f_then = halve, f_best
                if halve:
                    eta, x, g = eta / 2, x_best, g_best
                k = max(k - max(int(0.03 * steps), 1), max(int(0.06 * steps), 1))
                since = 0
        if best.distance < np.inf:
            break
    return best


def carlini_wagner(x0, label):
    best = Closest(x0, label)
    middle, half = (HIGH + LOW) / 2, (HIGH - LOW) / 2
    image = lambda w: middle + half * np.tanh(w)
    w0 = np.arctanh(0.999999 * (x0 - middle) / half)
    low, high, c = 0.0, np.inf, 0.1
    for _ in range(4):
        w, m, v, found = w0, 0.0, 0.0, False
        for t in range(1, STEPS + 1):
            x = image(w)
            found |= best.see(x) if logits_of(x).argmax() != label else False
            f, g = value_and_gradient(ja.scores.margin, label)(x)
            g = 2 * (x - image(w0)) + c * (f > 0) * g
            g = g * half * (1 - np.tanh(w) ** 2)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
            w = w - 0.05 * step
        found |= best.see(image(w))
        low, high = (low, c) if found else (c, high)
        c = 10 * c if high == np.inf else (low + high) / 2
    return best


def ddn(x0, label):
    best = Closest(x0, label)
    x, radius = x0, 0.5
    for t in range(STEPS):
        alpha = 0.01 + 0.99 * (1 + np.cos(np.pi * t / STEPS)) / 2
        radius *= 0.95 if best.see(x) else 1.05
        _, g = value_and_gradient(ja.scores.cross_entropy, label)(x)
        delta = x - x0 + alpha * g / norm(g)
        x = clip(x0 + radius * delta / norm(delta))
    best.see(x)
    return best


def deepfool(x0, label, *, p, num_candidates=10):
    best = Closest(x0, label)
    order = [k for k in np.argsort(-logits_of(x0)) if k != label][:num_candidates]
    x, total = x0, np.zeros_like(x0)
    q = {"l1": np.inf, "l2": 2, "linf": 1}[p]
    for _ in range(4):
        if best.see(x):
            break
        logits, ways = logits_of(x), []
        for k in order:
            both = [value_and_gradient(ja.scores.logit, int(j)) for j in (k, label)]
            gradients = [of(x)[1] for of in both]
            w = gradients[0] - gradients[1]
            gap = abs(logits[k] - logits[label])
            ways.append((gap / np.linalg.norm(w.ravel(), q), gap, w))
        _, gap, w = min(ways, key=lambda way: way[0])
        # What rounding may take of it: float64 has 52 bits behind the first.
        rounding = 2 * 2.0**-52 * 2.0 ** np.floor(np.log2(np.abs(x).max()))
        length = gap / np.linalg.norm(w.ravel(), q)
        length += rounding * (np.sqrt(x.size) if p == "l2" else 1)
        if p == "l2":
            r = length * w / norm(w)
        elif p == "linf":
            r = length * np.sign(w)
        else:
            r = length * np.sign(w) * (np.abs(w) == np.abs(w).max())
        total = total + r
        x = clip(x0 + 1.02 * total)
    best.see(x)
    return best


def onto_boundary(start, x, f, g):
    """The nearest point in the box of ``f + g·(z - x) = 0``, by bisection of λ."""
    rest = lambda shift: f + (g * (clip(start - shift * g) - x)).sum()
    low, high = -1e3, 1e3
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if rest(middle) > 0 else (low, middle)
    return clip(start - high * g)


def fab(x0, label):
    best = Closest(x0, label)
    x = x0
    for _ in range(STEPS):
        is_other = best.see(x)
        f, g = value_and_gradient(ja.scores.margin, label)(x)
        if is_other:
            x = clip(x0 + 0.9 * (x - x0))
            continue
        own, first = onto_boundary(x, x, f, g) - x, onto_boundary(x0, x, f, g) - x0
        alpha = min(norm(own) / (norm(own) + norm(first)), 0.1)
        x = clip((1 - alpha) * (x + 1.05 * own) + alpha * (x0 + 1.05 * first))
    best.see(x)
    return best


def reference(name, x0, label, key):
    if name.startswith("pgd"):
        kind = "linf" if name == "pgd_linf" else "l2"
        step = lambda radius: 2.5 * radius / STEPS
        if name == "pgd_released":
            step = lambda radius: 2 * radius**2 / STEPS
        radii = (0.01, 0.1, 0.4) if kind == "linf" else RADII
        released = name == "pgd_released"
        return pgd(
            x0, label, key, kind=kind, radii=radii, step=step, last_only=released
        )
    if name.startswith("apgd"):
        kind = "linf" if name == "apgd_linf" else "l2"
        radii = (0.01, 0.3) if kind == "linf" else RADII
        score = SCORES["dlr" if name == "apgd_dlr" else "ce"]
        return apgd(x0, label, key, kind=kind, radii=radii, score=score)
    if name.startswith("deepfool"):
        kind = name.partition("_")[2] or "l2"
        most = 2 if kind == "linf" else 10
        return deepfool(x0, label, p=kind, num_candidates=most)
    return {"carlini_wagner": carlini_wagner, "ddn": ddn, "fab": fab}[name](x0, label)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in sorted(MEMBERS)
    ],
)
def test_against_its_equations(name):
    with toys.float64():
        images = toys.images(4, 4, 5, 1, dtype=jnp.float64)
        # One near a corner, so that the bounds bind.
        images = images.at[3].set(jnp.clip(2 * images[3] - 0.5, LOW, HIGH))
        labels = jnp.argmax(model(images), -1)
        keys = jax.random.split(KEY, 4)
        search = BoundaryTask(model, images, labels, keys, (LOW, HIGH), "l2")
        found = jax.jit(lambda: MEMBERS[name].find(search))()
        count = 0
        for i in range(4):
            expected = reference(name, np.asarray(images[i]), int(labels[i]), keys[i])
            np.testing.assert_allclose(
                found.distances[i], expected.distance, rtol=1e-6, atol=1e-9
            )
            np.testing.assert_allclose(found.points[i], expected.point, atol=1e-7)
            count += np.isfinite(expected.distance)
        assert count, "a test of nothing found is no test"


@pytest.mark.slow
def test_the_path_of_apgd_halves_and_goes_back_as_published():
    """Every point of a long path, not only the closest of another class."""
    with toys.float64():
        images = toys.images(3, 4, 5, 1, dtype=jnp.float64)
        labels, keys = jnp.argmax(model(images), -1), jax.random.split(KEY, 3)
        seen = []

        def recording(x):
            jax.debug.callback(lambda x: seen.append(np.array(x)), x, ordered=True)
            return model(x)

        search = BoundaryTask(recording, images, labels, keys, (LOW, HIGH), "l2")
        member = boundaries.apgd_ce(radii=(0.8,), num_steps=40)
        jax.block_until_ready(jax.jit(lambda: member.find(search))())
        jax.effects_barrier()
        seen = np.stack(seen)
        for i in range(3):
            visited = []
            apgd(
                np.asarray(images[i]),
                int(labels[i]),
                keys[i],
                kind="l2",
                radii=(0.8,),
                score=ja.scores.cross_entropy,
                steps=40,
                visited=visited,
            )
            np.testing.assert_allclose(seen[:, i], visited, atol=1e-7)


@pytest.mark.parametrize(
    ("rises", "window", "was_halved", "best_then", "halves"),
    [
        (3, 4, True, 1.0, True),  # rose in three of four
        (4, 4, False, 1.0, False),  # rises, and better than at the last checkpoint
        (4, 4, False, 2.0, True),  # no better, and not halved then
        (4, 4, True, 2.0, False),  # no better, but halved then
        (0, 0, False, 2.0, False),  # no checkpoint
    ],
)
def test_when_apgd_halves_its_step(rises, window, was_halved, best_then, halves):
    one = lambda value: jnp.asarray([value])
    point = jnp.zeros((1, 1, 1, 1))
    memory = apgd_module._Memory(
        previous=point,
        step_size=one(1.0),
        last=one(2.0),
        best=one(2.0),
        best_points=point,
        best_gradient=point,
        rises=one(rises),
        was_halved=one(was_halved),
        best_then=one(best_then),
    )
    halve, after = apgd_module._check(memory, jnp.asarray(window))
    assert bool(halve[0]) == halves
    assert float(after.step_size[0]) == (0.5 if halves else 1.0)
    if window:
        assert bool(after.was_halved[0]) == halves
        assert int(after.rises[0]) == 0
        assert float(after.best_then[0]) == 2.0
    else:
        assert after.best_then == memory.best_then


def test_the_first_radius_that_serves_is_kept():
    """Though a later one finds something nearer."""
    images = toys.images(2)
    search = BoundaryTask(None, images, jnp.zeros(2, int), None, (0.0, 1.0), "l2")
    finds = {1.0: [0.5, np.inf], 2.0: [0.2, 0.3], 4.0: [0.1, 0.1]}

    def attempt(radius, keys, is_done):
        distances = sum(
            jnp.where(radius == r, jnp.asarray(d, jnp.float32), 0)
            for r, d in finds.items()
        )
        return Best(images + radius, distances, jnp.ones(2, int))

    found = over_radii(search, tuple(finds), attempt)
    np.testing.assert_allclose(found.distances, [0.5, 0.3])
    np.testing.assert_allclose(found.points[0], images[0] + 1)
    np.testing.assert_allclose(found.points[1], images[1] + 2)


def test_checkpoints_of_a_short_run():
    np.testing.assert_array_equal(checkpoints(1), [0])
    assert list(np.flatnonzero(checkpoints(12))) == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]


@pytest.mark.slow
def test_difference_of_logits_ratio():
    logits = jnp.array([[3.0, 1.0, 2.0, -1.0], [0.0, 1.0, 4.0, 2.0]])
    score = difference_of_logits_ratio(lambda z: z, jnp.array([0, 3]))(logits)
    np.testing.assert_allclose(score, [-(3 - 2) / (3 - 1), -(2 - 4) / (4 - 1)])
    two = difference_of_logits_ratio(lambda z: z, jnp.array([0]))(logits[:1, :2])
    np.testing.assert_allclose(two, [-2.0])


def test_misuse():
    for build, message in [
        (lambda: boundaries.ddn(gamma=2.0), "gamma: expected a number between 0 and 1"),
        (lambda: boundaries.ddn(num_steps=0), "num_steps: expected an integer"),
        (lambda: boundaries.deepfool(norm="l3"), "norm: unknown 'l3'"),
        (lambda: boundaries.apgd_ce(norm="l1"), "norm: unknown 'l1'"),
        (lambda: boundaries.carlini_wagner(num_searches=0), "num_searches: expected"),
        (lambda: boundaries.fab(backward=-1), "backward: expected a number between"),
    ]:
        with pytest.raises(ValueError, match=message):
            build()
