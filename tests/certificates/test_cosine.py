"""The certificate on the cosine: its parts exactly, then attacked and never broken."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
import toys

import jaxattr as ja
from jaxattr.certificates import cosine_bound
from jaxattr.certificates.confidence import mean_from_below
from jaxattr.certificates.overlap import share_left

KEY = jax.random.key(8)


@pytest.mark.parametrize("size", [1, 2, 3, 90, 150_528])
def test_the_part_of_a_ball_that_is_not_shared(size):
    """Exactly, and never less; on a line and in space by hand."""
    for s in (0.0, 1e-4, 0.03, 0.7, 1.99, 2.0, 5.0):
        exact = scipy.special.betainc(0.5, (size + 1) / 2, min(1.0, s * s / 4))
        by_hand = {1: s / 2, 3: (3 * s / 2 - (s / 2) ** 3) / 2}
        if size in by_hand and s <= 2:
            np.testing.assert_allclose(exact, by_hand[size], rtol=1e-9)
        share = share_left(size, s)
        assert exact <= share <= exact * (1 + 1e-7) + 1e-11


def test_points_are_uniform_in_the_ball():
    """Of D = 6: the D-th power of the radius is uniform, and no direction preferred."""
    images = jnp.full((1, 1, 3, 2), 0.5)
    keys = jax.random.split(KEY, 4000)[:, None]
    drawn = ja.perturbations.uniform_ball(0.3)(images)(keys) - images[None]
    drawn = np.asarray(drawn).reshape(4000, 6)
    radii = np.linalg.norm(drawn, axis=1)
    assert radii.max() <= 0.3 * (1 + 1e-6)
    assert scipy.stats.kstest((radii / 0.3) ** 6, "uniform").pvalue > 1e-3
    # One coordinate of a uniform point of the ball, squared over r²: Beta(1/2, (D+1)/2).
    beta = scipy.stats.beta(0.5, 3.5)
    for value in drawn.T:
        assert scipy.stats.kstest((value / 0.3) ** 2, beta.cdf).pvalue > 1e-4
        assert scipy.stats.binomtest(int((value > 0).sum()), 4000).pvalue > 1e-4


@pytest.mark.parametrize("alpha", [0.2, 0.01])
@pytest.mark.parametrize("mean", [0.03, 0.5, 0.97, 0.999])
def test_the_confidence_of_the_mean_by_adding_up_the_binomial(mean, alpha):
    """Of coins, the hardest case: all counts whose bound is above the mean, together."""
    num = 60
    counts = np.arange(num + 1)
    bounds = mean_from_below(jnp.asarray(counts / num), num, alpha)
    wrong = scipy.stats.binom.pmf(counts, num, mean)[np.asarray(bounds) > mean].sum()
    assert wrong <= alpha
    # Not for nothing: better than Hoeffding's square root, and exact for all heads.
    assert (
        np.asarray(bounds) >= counts / num - np.sqrt(np.log(1 / alpha) / 120) - 1e-4
    ).all()
    np.testing.assert_allclose(bounds[-1], alpha ** (1 / num), atol=1e-4)
    # Rounded down: in float32, too, each is at least as unlikely as it must be.
    low = np.asarray(bounds, np.float64)
    terms = [scipy.special.rel_entr(counts / num, low)]
    terms += [scipy.special.rel_entr(1 - counts / num, 1 - low)]
    assert (num * sum(terms) >= np.log(1 / alpha))[low > 0].all()


def planar(angle):
    return np.stack([np.cos(angle), np.sin(angle)])


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("length", [0.5, 0.7, 0.9, 0.99])
def test_the_closed_form_is_the_worst_case(share, length):
    """``h = m + q a`` of that norm against ``m + q b``, a and b on a grid, m searched."""
    with toys.float64():
        bound = float(cosine_bound(jnp.array(length, jnp.float64), share))
    h = np.array([length, 0.0])
    # All a of norm one or less that leave ‖m‖ at most 1 - q.
    angle, size = np.meshgrid(np.linspace(0, 2 * np.pi, 361), np.linspace(0.0, 1, 21))
    m = h[:, None] - share * (size * planar(angle)).reshape(2, -1)
    m = m[:, np.hypot(*m) <= 1 - share + 1e-12]
    worst = 1.0
    for b in planar(np.linspace(0, 2 * np.pi, 181)).T:
        other = m + share * b[:, None]
        norm = np.hypot(*other)
        cosine = other[0][norm > 1e-9] / norm[norm > 1e-9]
        worst = min(worst, cosine.min())
    if length <= 2 * share:
        assert bound == -1
        assert worst < 0.05
    else:
        assert bound <= worst + 1e-9
        np.testing.assert_allclose(bound, worst, atol=0.01)


@pytest.mark.slow
def test_a_longer_map_is_never_worth_less():
    lengths = jnp.linspace(-0.2, 1.0, 400)
    for share in (0.0, 0.01, 0.1, 0.3, 0.49, 0.7, 1.0):
        bounds = np.asarray(cosine_bound(lengths, share))
        assert (np.diff(bounds) >= -1e-5).all()
        assert (bounds >= -1).all()
        assert (bounds <= 1).all()
    assert np.isnan(cosine_bound(jnp.array([jnp.nan]), 0.1)).all()


# A map on the line that turns as fast as it may at the two ends of the interval of x.
R, EPSILON, X = 0.4, 0.16, 0.5
Q = EPSILON / (2 * R)


def turning(angle, points):
    """g: one direction left of what both intervals share, one within, one right."""
    a, m, b = (jnp.asarray(planar(v)) for v in (-angle, 0.0, angle))
    points = points[..., 0, 0, 0][:, None, None, None]
    left = points < X - R + EPSILON
    right = points > X + R
    return jnp.where(left, a, jnp.where(right, b, m))


def cosine(a, b):
    a, b = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (a, b))
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_a_map_made_to_break_it_comes_near_and_does_not():
    """Of one pixel: h and h' are known, and so is the angle between them."""
    angle = np.pi / 2 + np.arcsin(Q / (1 - Q))
    h, other = ((1 - Q) * planar(0) + Q * planar(s * angle) for s in (-1, 1))
    truth = float(h @ other / np.linalg.norm(h) / np.linalg.norm(other))
    images = jnp.full((1, 1, 1, 1), X)
    run = functools.partial(
        ja.certified_cosine,
        functools.partial(turning, angle),
        images,
        smoothing_radius=R,
        num_samples=4000,
    )
    found = run(key=KEY, attack_radius=EPSILON)
    np.testing.assert_allclose(found.maps.ravel(), h, atol=0.03)
    assert truth - 0.12 < found.lower_bound[0] <= truth
    # The tangent in place of the sine would be above it, without any sampling error.
    length = np.linalg.norm(h)
    assert length / np.hypot(length, 2 * Q) > truth


def test_against_a_loop():
    """The first quarter of the draws gives the direction, the others the length along."""
    x, num, alpha = toys.images(), 42, 0.01
    explain = lambda x: 5 * jnp.sin(9 * x)
    options = {"smoothing_radius": 0.5, "attack_radius": 0.03, "alpha": alpha}
    found = jax.jit(
        functools.partial(ja.certified_cosine, explain, num_samples=num, **options)
    )(x, key=KEY)

    @jax.jit
    def drawn():
        fold = jax.vmap(jax.random.fold_in, (None, 0))
        keys = jax.vmap(fold, (0, None), 1)(fold(KEY, jnp.arange(3)), jnp.arange(num))
        return explain(ja.perturbations.uniform_ball(0.5)(x)(keys))

    maps = np.asarray(drawn(), np.float64).reshape(num, 3, 90)
    maps /= np.linalg.norm(maps, axis=2, keepdims=True)
    np.testing.assert_allclose(found.maps.reshape(3, 90), maps.mean(0), atol=1e-5)
    first, rest = maps[:10].mean(0), maps[10:].mean(0)
    along = (first * rest).sum(1) / np.linalg.norm(first, axis=1)

    @jax.jit
    def proved(along):
        length = 2 * mean_from_below((1 + along) / 2, num - 10, alpha) - 1
        return cosine_bound(length, share_left(90, 0.03 / 0.5))

    expected = proved(along)
    assert ((expected > 0) & (expected < 0.9)).all()
    np.testing.assert_allclose(found.lower_bound, expected, atol=1e-4)


@pytest.mark.slow
def test_no_change_at_all_is_exact():
    found = ja.certified_cosine(
        functools.partial(turning, 1.0),
        jnp.full((1, 1, 1, 1), X),
        key=KEY,
        smoothing_radius=R,
        attack_radius=0.0,
        num_samples=4000,
    )
    np.testing.assert_allclose(found.lower_bound, 1, atol=1e-4)


PARAMS = toys.init_smooth(jax.random.key(3))
y = jnp.array([0, 1, 2])


def saliency(x):
    return ja.saliency(functools.partial(toys.smooth_logits, PARAMS), 3 * x, y)


@functools.partial(jax.jit, static_argnums=2)
def smoothed(x, keys, num):
    def one(total, key):
        points = ja.perturbations.uniform_ball(0.5)(x)(jax.random.split(key, len(x)))
        maps = saliency(points)
        return total + maps / jnp.linalg.norm(maps.reshape(3, -1), axis=1)[
            :, None, None, None
        ], None

    return jax.lax.scan(one, jnp.zeros_like(x), keys[:num])[0] / num


@jax.jit
def attacked(x, epsilon):
    """Gradient steps on the cosine of the smoothed map, in the Euclidean ball."""
    keys = jax.random.split(jax.random.key(77), 16)
    clean = smoothed(x, keys, 16)
    length = lambda v: jnp.sqrt(jnp.sum(v**2, (1, 2, 3), keepdims=True))

    def similarity(points):
        maps = smoothed(points, keys, 16)
        return jnp.sum(maps * clean / length(maps) / length(clean))

    def step(delta, _):
        g = jax.grad(similarity)(x + delta)
        delta = delta - 0.3 * epsilon * g / length(g)
        return delta * jnp.minimum(1, epsilon / length(delta)), None

    start = 0.1 * epsilon * jax.random.normal(KEY, x.shape)
    return x + jax.lax.scan(step, start, length=12)[0]


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.01, 0.03, 0.06])
def test_attacks_do_not_break_it(epsilon):
    x = toys.images()
    found = ja.certified_cosine(
        saliency,
        x,
        key=KEY,
        smoothing_radius=0.5,
        attack_radius=epsilon,
        num_samples=2000,
    )
    points = attacked(x, epsilon)
    distance = np.linalg.norm(np.asarray(points - x).reshape(3, -1), axis=1)
    assert (distance <= epsilon * (1 + 1e-5)).all()
    # Other draws than those of the attack, and enough that their error is small.
    keys = jax.random.split(jax.random.key(99), 1500)
    reached = cosine(smoothed(x, keys, 1500), smoothed(points, keys, 1500))
    assert (found.lower_bound > 0.3).all()
    assert (found.lower_bound <= reached).all()
    assert (reached < 1 - 1e-4).all() or epsilon < 0.03


@pytest.mark.slow
def test_an_image_alone_and_compiled():
    x = toys.images()
    g = lambda x: x**3
    run = functools.partial(
        ja.certified_cosine, g, smoothing_radius=0.5, attack_radius=0.01, num_samples=40
    )
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(3))
    together = run(x, key=KEY)
    alone = jax.jit(lambda x, k: run(x, key=k))(x[1:2], keys[1:2])
    np.testing.assert_allclose(alone.maps[0], together.maps[1], atol=1e-6)
    np.testing.assert_allclose(alone.lower_bound[0], together.lower_bound[1], atol=1e-5)
    assert together.maps.shape == x.shape


def test_maps_of_zeros_prove_nothing_and_of_nan_are_nan():
    x = toys.images()
    factors = jnp.array([1.0, 0.0, jnp.nan])[:, None, None]
    run = functools.partial(
        ja.certified_cosine,
        lambda x: jnp.sum(x, axis=-1) * factors,
        key=KEY,
        smoothing_radius=0.5,
        attack_radius=0.001,
        num_samples=40,
    )
    found = jax.jit(run)(x)
    assert found.lower_bound[0] > 0.5
    assert found.lower_bound[1] == -1
    assert np.isnan(found.lower_bound[2])
    assert found.maps.shape == (3, 6, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"num_samples": 10},
            "num_samples: expected at least 13, .*alpha=0.001, got 10",
        ),
        ({"num_samples": 0}, "num_samples: expected an integer of at least 1"),
        ({"smoothing_radius": 0}, "smoothing_radius: .*above 0"),
        ({"attack_radius": -1}, "attack_radius: .*at least 0"),
        ({"attack_radius": float("inf")}, "attack_radius: expected a finite number"),
        ({"alpha": 0}, "alpha: .*between 0 and 1"),
        ({"alpha": 1.0}, "alpha: .*between 0 and 1"),
        ({"key": None}, "key: .*needs a typed key"),
        ({"images": toys.images() * jnp.nan}, "images: expected finite"),
        ({"images": toys.images()[0]}, "images: expected"),
        ({"explain_fn": lambda x: x[:2]}, r"explain_fn: expected maps \(3, H"),
        ({"explain_fn": lambda x: x[:, 0, 0, 0]}, "explain_fn: expected maps"),
    ],
)
def test_bad_input(change, message):
    given = {
        "explain_fn": lambda x: x,
        "images": toys.images(),
        "key": KEY,
        "smoothing_radius": 0.5,
        "attack_radius": 0.01,
        "num_samples": 20,
    }
    with pytest.raises(ValueError, match=message):
        ja.certified_cosine(**(given | change))


def test_a_radius_that_is_traced_is_refused():
    run = lambda r: ja.certified_cosine(
        lambda x: x,
        toys.images(),
        key=KEY,
        smoothing_radius=r,
        attack_radius=0.0,
        num_samples=20,
    )
    with pytest.raises(ValueError, match="smoothing_radius: .*traced"):
        jax.jit(run)(0.5)
