"""The nearest boundary: closed forms, exact polytopes, and what a search promises."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from quick import quick

import jaxattr as ja
from jaxattr import attacks, boundaries

KEY = jax.random.key(17)
PARAMS = toys.init_smooth(jax.random.key(2))
SMALL = {
    "pgd_l2": {"radii": (0.1, 0.5, 2.0), "num_steps": 6},
    "pgd_linf": {"radii": (0.02, 0.1, 0.3), "num_steps": 6},
    "apgd_ce": {"radii": (0.5, 2.0), "num_steps": 8},
    "apgd_dlr": {"radii": (0.5, 2.0), "num_steps": 8},
    "carlini_wagner": {"num_searches": 3, "num_steps": 20, "step_size": 0.05},
    "ddn": {"num_steps": 20},
    "deepfool": {"num_steps": 5},
    "fab": {"num_steps": 10},
}
SOME = ("deepfool", "fab", "pgd_l2")


model = functools.partial(toys.smooth_logits, PARAMS)


def small(*names):
    names = names or boundaries.boundary_names()
    return tuple(getattr(attacks, name)(**SMALL[name]) for name in names)


@functools.cache
def compiled(*names, **options):
    def run(params, images, labels, key):
        logits_fn = functools.partial(toys.smooth_logits, params)
        search = ja.BoundarySearch(small(*names), **options)
        return ja.nearest_boundary(logits_fn, images, labels, key=key, search=search)

    return jax.jit(run)


def found_on_toys(*names, images=None, key=KEY, **options):
    images = toys.images() if images is None else images
    labels = jnp.zeros(len(images), int)
    return compiled(*names, **options)(PARAMS, images, labels, key)


def test_names():
    assert boundaries.boundary_names() == (
        *("deepfool", "ddn", "fab", "pgd_l2", "pgd_linf"),
        *("apgd_ce", "apgd_dlr", "carlini_wagner"),
    )
    for name in boundaries.boundary_names():
        assert getattr(attacks, name)().name == name


def two_classes(weights, bias):
    """``z = (w·x + b, -(w·x + b))``."""

    def logits_fn(x):
        value = jnp.sum(x * weights[None], (1, 2, 3)) + bias
        return jnp.stack([value, -value], -1)

    return logits_fn


@pytest.mark.parametrize(
    "name", quick(["deepfool", "ddn", "fab", "carlini_wagner"], "deepfool")
)
def test_two_linear_classes_in_closed_form(name):
    """x' = x - (w·x + b) w / ‖w‖², distance |w·x + b| / ‖w‖."""
    rng = np.random.default_rng(3)
    images, weights = rng.uniform(0.3, 0.7, (3, 4, 5, 3)), rng.normal(size=(4, 5, 3))
    value = (images * weights).sum((1, 2, 3)) - 0.2
    points = images - (value / (weights**2).sum())[:, None, None, None] * weights
    assert points.min() > 0
    assert points.max() < 1
    model = two_classes(jnp.asarray(weights, jnp.float32), -0.2)
    found = jax.jit(
        lambda x: ja.nearest_boundary(model, x, jnp.zeros(3, int), search=name)
    )(jnp.asarray(images, jnp.float32))
    distances = np.abs(value) / np.sqrt((weights**2).sum())
    tolerance = {"carlini_wagner": 0.02}.get(name, 1e-4)
    np.testing.assert_allclose(found.distances, distances, rtol=tolerance)
    if name != "carlini_wagner":
        np.testing.assert_allclose(found.points, points, atol=1e-4)
    np.testing.assert_array_equal(found.labels, np.where(value > 0, 1, 0))
    np.testing.assert_array_equal(found.members, 0)
    assert found.found.all()


@pytest.mark.parametrize("norm", quick(["l1", "l2", "linf"], "l1", "linf"))
def test_three_linear_classes_the_nearest_of_two_in_every_norm(norm):
    """min over k of |f_y - f_k| / ‖w_y - w_k‖_q, by one exact step of DeepFool."""
    rng = np.random.default_rng(4)
    images = rng.uniform(0.4, 0.6, (4, 3, 3, 1))
    weights, bias = rng.normal(size=(9, 3)), rng.normal(size=3) * 0.05
    flat = images.reshape(4, 9) - 0.5
    logits = flat @ weights + bias
    labels = logits.argmax(-1)
    dual = {"l1": np.inf, "l2": 2, "linf": 1}[norm]
    expected, behind = [], []
    for z, y in zip(logits, labels, strict=True):
        ways = {
            k: (z[y] - z[k]) / np.linalg.norm(weights[:, y] - weights[:, k], dual)
            for k in range(3)
            if k != y
        }
        behind.append(min(ways, key=ways.get))
        expected.append(ways[behind[-1]])
    w, b = (jnp.asarray(v, jnp.float32) for v in (weights, bias))
    search = ja.BoundarySearch(boundaries.deepfool(num_steps=1, norm=norm), norm=norm)
    found = jax.jit(
        lambda x: ja.nearest_boundary(
            lambda x: (x.reshape(len(x), 9) - 0.5) @ w + b[None],
            x,
            jnp.asarray(labels),
            search=search,
        )
    )(jnp.asarray(images, jnp.float32))
    np.testing.assert_allclose(found.distances, expected, rtol=1e-3)
    np.testing.assert_array_equal(found.labels, behind)


def relu_network(seed, hidden=8, num_classes=3):
    rng = np.random.default_rng(seed)
    return (
        6 * rng.normal(size=(2, hidden)),
        0.5 * rng.normal(size=hidden),
        rng.normal(size=(hidden, num_classes)),
        0.2 * rng.normal(size=num_classes),
    )


def relu_logits(network, images):
    first, bias, second, last = network
    hidden = (images.reshape(len(images), 2) - 0.5) @ first + bias[None]
    return jax.nn.relu(hidden) @ second + last[None]


def exact_nearest(network, x):
    """Distance, normal, and whether the point lies inside its facet and the box.

    Every activation pattern is a polygon in which margins are linear: the boundary of
    the class with another is a segment of a line, and the nearest point of it known.
    """
    first, bias, second, last = network
    label = (np.maximum((x - 0.5) @ first + bias, 0) @ second + last).argmax()
    nearest = (np.inf, None, False)
    others = [k for k in range(len(last)) if k != label]
    patterns = itertools.product([0, 1], repeat=len(bias))
    for pattern, other in itertools.product(map(np.array, patterns), others):
        inner = bias - first.sum(0) / 2
        slopes = (second.T * pattern) @ first.T
        values = (second.T * pattern) @ inner + last
        sign = 2 * pattern - 1
        rest = [k for k in others if k != other]
        # rows · z + offsets >= 0
        rows = [*(sign[:, None] * first.T), [1, 0], [0, 1], [-1, 0], [0, -1]]
        offsets = [*(sign * inner), 0, 0, 1, 1]
        rows = np.array([*rows, *(slopes[label] - slopes[k] for k in rest)])
        offsets = np.array([*offsets, *(values[label] - values[k] for k in rest)])
        normal, value = slopes[label] - slopes[other], values[label] - values[other]
        size = np.linalg.norm(normal)
        if size < 1e-12:
            continue
        foot = x - (normal @ x + value) * normal / size**2
        along = np.array([-normal[1], normal[0]]) / size
        room, speed = rows @ foot + offsets, rows @ along
        low = np.max(-room[speed > 0] / speed[speed > 0], initial=-np.inf)
        high = np.min(-room[speed < 0] / speed[speed < 0], initial=np.inf)
        if low > high:
            continue
        point = foot + min(max(0, low), high) * along
        distance = np.linalg.norm(point - x)
        if distance < nearest[0]:
            nearest = (distance, normal / size, low < 0 < high)
    return nearest


@pytest.mark.slow
def test_against_the_exact_nearest_point_of_relu_networks():
    """Within 1 % for 95 % of points; normal to the boundary where there is a normal.

    There is none where the nearest point is a corner of the boundary or lies on a side
    of the box, and a point that is not the nearest has no reason to lie along it.
    """
    search = jax.jit(
        lambda network, x: ja.nearest_boundary(
            functools.partial(relu_logits, network), x, jnp.zeros(40, int), key=KEY
        )
    )
    ratios, cosines, small_margins, num_inside = [], [], [], 0
    for seed in range(3):
        network = relu_network(seed)
        points = np.random.default_rng(100 + seed).uniform(size=(40, 2))
        exact = [exact_nearest(network, x) for x in points]
        images = jnp.asarray(points, jnp.float32).reshape(40, 1, 2, 1)
        network = tuple(jnp.asarray(v, jnp.float32) for v in network)
        found = search(network, images)
        assert found.found.all()
        ratio = np.asarray(found.distances) / [e[0] for e in exact]
        offsets = np.asarray(images - found.points).reshape(40, 2)
        num_inside += sum(is_inside for _, _, is_inside in exact)
        for (_, normal, is_inside), offset, r in zip(
            exact, offsets, ratio, strict=True
        ):
            if is_inside and r < 1.01:
                cosines.append(abs(offset @ normal) / np.linalg.norm(offset))
        ratios += list(ratio)
        logits = relu_logits(network, images)
        margin = ja.scores.margin(
            functools.partial(relu_logits, network), jnp.argmax(logits, -1)
        )
        small_margins += list(np.abs(margin(found.points)) / np.ptp(logits, -1))
    assert min(ratios) > 1 - 1e-3, "nothing is nearer than the nearest"
    assert np.mean(np.array(ratios) < 1.01) >= 0.95
    assert num_inside > 0.8 * len(ratios)
    assert len(cosines) >= 0.95 * num_inside
    assert min(cosines) > 0.99
    assert max(small_margins) < 1e-4


@pytest.mark.slow
def test_the_end_of_the_last_interval_lies_on_either_side():
    images = toys.images()
    outside, inside = (
        found_on_toys(*SOME, **side) for side in ({}, {"side": "inside"})
    )
    own = jnp.argmax(model(images), -1)
    np.testing.assert_array_equal(jnp.argmax(model(outside.points), -1), outside.labels)
    np.testing.assert_array_equal(jnp.argmax(model(inside.points), -1), own)
    np.testing.assert_array_equal(inside.labels, outside.labels)
    assert (outside.labels != own).all()
    apart = np.abs(inside.points - outside.points).max()
    assert 0 < apart < 2e-6
    margins = ja.scores.margin(model, own)
    scale = np.abs(margins(images)).min()
    for found in (outside, inside):
        assert float(jnp.abs(margins(found.points)).max()) < 1e-4 * scale


@pytest.mark.slow
@pytest.mark.parametrize("names", [SOME, ()])
def test_an_ensemble_is_never_farther_than_any_of_its_members(names):
    """Nor than what a member found by itself, before any bisection."""
    names = names or boundaries.boundary_names()
    together = found_on_toys(*names)
    alone = [found_on_toys(name) for name in names]
    # Programs that differ round differently: equal to a few last digits.
    best = np.min([found.distances for found in alone], axis=0)
    np.testing.assert_allclose(together.distances, best, rtol=1e-4)
    for i, member in enumerate(together.members):
        np.testing.assert_allclose(
            together.distances[i], alone[int(member)].distances[i], rtol=1e-4
        )
    for name, found in zip(names, alone, strict=True):
        raw = found_on_toys(name, num_bisections=0)
        assert raw.found.all(), name
        assert (found.distances <= raw.distances * (1 + 1e-5)).all(), name
        assert (together.distances <= raw.distances * (1 + 1e-4)).all(), name
    offsets = np.asarray(together.points - toys.images())
    expected = np.sqrt((offsets**2).sum((1, 2, 3)))
    np.testing.assert_allclose(together.distances, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "names", quick([("deepfool",), ("carlini_wagner", *SOME)], ("deepfool",))
)
def test_nothing_to_find(names):
    """A model that puts every image in one class: no point, no exception."""
    images = toys.images()
    constant = lambda x: jnp.array([[0.0, 1.0, 0.0]]) + 0 * jnp.mean(x, (1, 2))
    run = lambda x: ja.nearest_boundary(
        constant, x, jnp.zeros(3, int), key=KEY, search=small(*names)
    )
    found = jax.jit(run)(images)
    assert not found.found.any()
    np.testing.assert_array_equal(found.points, images)
    np.testing.assert_array_equal(found.distances, np.inf)
    np.testing.assert_array_equal(found.labels, 1)
    np.testing.assert_array_equal(found.members, -1)


def test_an_image_that_is_misclassified_already():
    """From what is predicted by default; from the label on request, then 0 away."""
    images = toys.images()
    own = jnp.argmax(model(images), -1)
    wrong = own.at[0].set((own[0] + 1) % 4)
    run = jax.jit(
        functools.partial(ja.nearest_boundary, model, images), static_argnames="search"
    )
    search = ja.BoundarySearch(small("deepfool"))
    default = run(wrong, search=search)
    by_label = run(wrong, search=dataclasses.replace(search, leave="label"))
    np.testing.assert_array_equal(default.distances, run(own, search=search).distances)
    assert by_label.distances[0] == 0
    assert by_label.found.all()
    np.testing.assert_array_equal(by_label.points[0], images[0])
    assert by_label.labels[0] == own[0]
    np.testing.assert_array_equal(by_label.members, [-1, 0, 0])
    np.testing.assert_allclose(by_label.distances[1:], default.distances[1:], rtol=1e-5)


@pytest.mark.slow
def test_the_released_search_stops_behind_a_linear_boundary():
    """Distances and cosines that a simulation of the released code gives."""
    size, true = (224, 224, 3), np.array([0.05, 0.4])
    weights = np.random.default_rng(5).normal(size=size)
    weights = jnp.asarray(weights / np.linalg.norm(weights), jnp.float32)
    images = jnp.asarray(true, jnp.float32)[:, None, None, None] * weights[None]
    model = two_classes(weights, 0.0)
    run = functools.partial(
        ja.nearest_boundary,
        model,
        images,
        jnp.zeros(2, int),
        key=KEY,
    )
    bounds = (-100.0, 100.0)
    search = ja.BoundarySearch.released(units="pixels", bounds=bounds)
    released = run(search=search)
    np.testing.assert_allclose(released.distances, [0.251, 0.7], rtol=0.01)
    cosine = np.sum((images - released.points) * weights[None], (1, 2, 3))
    np.testing.assert_allclose(cosine / released.distances, [0.46, 0.88], atol=0.02)
    ours = run(search=ja.BoundarySearch("deepfool", bounds=bounds))
    np.testing.assert_allclose(ours.distances, true, rtol=1e-3)
    cosine = np.sum((images - ours.points) * weights[None], (1, 2, 3))
    assert min(cosine / ours.distances) > 0.999


@pytest.mark.slow
def test_normalized_units_replay_a_search_in_network_units():
    """Radii, bounds and distances are those of what the network is given."""
    mean, stddev = jnp.array([0.5, 0.4, 0.6]), jnp.array([0.25, 0.2, 0.5])
    images = toys.images()
    inner = lambda z: model(z * stddev[None, None, None] + mean[None, None, None])
    network_images = (images - mean[None, None, None]) / stddev[None, None, None]
    labels, members = jnp.zeros(3, int), small("deepfool")

    def in_units(units):
        released = ja.BoundarySearch.released(units=units)
        search = dataclasses.replace(released, members=members, num_bisections=20)
        return ja.nearest_boundary(model, images, labels, search=search)

    in_pixels = in_units((tuple(mean.tolist()), tuple(stddev.tolist())))
    search = ja.BoundarySearch(members, bounds=(-9.0, 9.0))
    inside = ja.nearest_boundary(inner, network_images, labels, search=search)
    np.testing.assert_allclose(in_pixels.distances, inside.distances, rtol=1e-4)
    points = inside.points * stddev[None, None, None] + mean[None, None, None]
    np.testing.assert_allclose(in_pixels.points, points, atol=1e-5)
    by_array = in_units(np.array([mean, stddev]))
    np.testing.assert_array_equal(by_array.points, in_pixels.points)


@pytest.mark.slow
def test_points_stay_within_bounds():
    images = jnp.clip(toys.images() * 2 - 0.5, 0, 1)
    found = found_on_toys(*SOME, images=images)
    assert found.found.any()
    assert float(found.points.min()) >= 0
    assert float(found.points.max()) <= 1


@pytest.mark.parametrize("name", quick(["mi_fgsm", "bim"], "mi_fgsm"))
def test_a_step_attack_is_a_member(name):
    """With radii of its own, or by its name alone."""
    images, labels, members = toys.images(), jnp.zeros(3, int), name
    if name == "mi_fgsm":
        radii = (0.05, 0.2, 0.5)
        members = [boundaries.at_radii(attacks.mi_fgsm(), radii=radii, num_steps=4)]
    search = ja.BoundarySearch(members, norm="linf")
    run = jax.jit(lambda x: ja.nearest_boundary(model, x, labels, search=search))
    found = run(images)
    assert found.found.all()
    own = jnp.argmax(model(images), -1)
    assert (jnp.argmax(model(found.points), -1) != own).all()


@pytest.mark.slow
@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_the_whole_ensemble_sharded(axis_type):
    images = toys.images(4)
    expected = found_on_toys(images=images)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        rows = jax.device_put(images, NamedSharding(mesh, P("data")))
        labels = jax.device_put(jnp.zeros(4, int), NamedSharding(mesh, P("data")))
        found = jax.jit(
            lambda x, y: ja.nearest_boundary(model, x, y, key=KEY, search=small())
        )(rows, labels)
    assert found.points.sharding.spec[0] == "data"
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-3)


def counting_model(counts, num_classes=12):
    """One class for every image; counts the passes that run, not those traced."""

    def add(direction):
        counts[direction] += 1

    @jax.custom_vjp
    def tap(x):
        jax.debug.callback(add, "forward")
        return x

    def forward(x):
        jax.debug.callback(add, "forward")
        return x, None

    def backward(_, cotangent):
        jax.debug.callback(add, "backward")
        return (cotangent,)

    tap.defvjp(forward, backward)
    first = jnp.eye(num_classes)[:1]
    return lambda x: first + 1e-9 * jnp.mean(tap(x), (1, 2, 3))[:, None]


STATED = {
    **{name: small(name)[0] for name in boundaries.boundary_names()},
    "pgd_released": boundaries.pgd_released(radii=(0.1, 0.5), num_steps=4),
    "mi_fgsm": boundaries.at_radii(
        attacks.mi_fgsm(), radii=(0.1, 0.5), num_steps=3, gradients_per_step=1
    ),
    "vmi_fgsm": boundaries.at_radii(
        attacks.vmi_fgsm(num_samples=4), radii=(0.1,), num_steps=2, gradients_per_step=5
    ),
}


@pytest.mark.parametrize("name", quick(STATED, "mi_fgsm"))
def test_the_stated_cost_is_what_a_search_in_vain_takes(name):
    counts = {"forward": 0, "backward": 0}
    member = STATED[name]
    run = jax.jit(
        lambda x: ja.nearest_boundary(
            counting_model(counts),
            x,
            jnp.zeros(1, int),
            key=KEY,
            search=ja.BoundarySearch(member, num_bisections=3),
        )
    )
    jax.block_until_ready(run(toys.images(1)))
    jax.effects_barrier()
    # One for the class, three to bisect, two and a gradient for the derivative.
    assert counts["forward"] == member.forwards + 1 + 3 + 2
    assert counts["backward"] == member.backwards + 1


def test_a_step_attack_of_unknown_cost():
    member = boundaries.at_radii(attacks.mi_fgsm())
    assert (member.forwards, member.backwards) == (None, None)
    with pytest.raises(ValueError, match="gradients_per_step: expected an integer"):
        boundaries.at_radii(attacks.mi_fgsm(), gradients_per_step=0)


def test_the_default_ensemble_costs_what_is_written():
    members = [getattr(attacks, name)() for name in boundaries.boundary_names()]
    forwards = sum(m.forwards for m in members) + 20 * len(members) + 3
    backwards = sum(m.backwards for m in members) + 1
    for documented in (ja.nearest_boundary, ja.BoundarySearch):
        words = " ".join(documented.__doc__.split())
        assert f"at most {forwards:,} forward and {backwards:,} backward" in words


@pytest.mark.slow
def test_radii_that_are_left_cost_nothing_when_all_are_done():
    counts = {"forward": 0, "backward": 0}
    tapped = counting_model(counts, 4)
    run = lambda x: ja.nearest_boundary(
        lambda x: model(x) + 0 * tapped(x),
        x,
        jnp.zeros(1, int),
        key=KEY,
        search=ja.BoundarySearch(
            boundaries.pgd_l2(radii=(2.0, 4.0, 8.0), num_steps=5), num_bisections=0
        ),
    )
    found = jax.block_until_ready(jax.jit(run)(toys.images(1)))
    jax.effects_barrier()
    assert found.found.all()
    assert counts["forward"] == 6 + 3


@pytest.mark.slow
def test_deepfool_costs_nothing_once_all_are_across():
    """A forward pass a step until the last image is across, and one that sees it."""
    counts = {"forward": 0, "backward": 0}
    tapped = counting_model(counts, 4)

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def run(logits_fn, num_steps, images):
        member = boundaries.deepfool(
            num_steps=num_steps, num_candidates=2, overshoot=0.001
        )
        return ja.nearest_boundary(
            logits_fn,
            images,
            jnp.zeros(3, int),
            search=ja.BoundarySearch(member, num_bisections=0),
        )

    assert 0 < run(model, 1, toys.images()).found.sum() < 3, (
        "some are across before the others"
    )
    counted = lambda x: model(x) + 0 * tapped(x)
    found = jax.block_until_ready(run(counted, 9, toys.images()))
    jax.effects_barrier()
    assert found.found.all()
    # Two steps and a look; the candidates and the last point; the class and two to
    # differentiate. Two candidates a step.
    assert counts["forward"] == 3 + 2 + 3
    assert counts["backward"] == 2 * 2 + 1


RADII = {"radii": (1.0,), "num_steps": 5}, {"radii": range(1, 41), "num_steps": 200}
STEPS = {"num_steps": 5}, {"num_steps": 200}
BUDGETS = dict.fromkeys(("pgd_l2", "pgd_linf", "apgd_ce", "apgd_dlr"), RADII) | {
    **dict.fromkeys(("ddn", "fab", "deepfool"), STEPS),
    "carlini_wagner": ({"num_searches": 2} | STEPS[0], {"num_searches": 9} | STEPS[1]),
}


@pytest.mark.slow
@pytest.mark.parametrize("to_differentiate", quick([False, True], True))
@pytest.mark.parametrize("name", quick(BUDGETS, "pgd_l2"))
def test_memory_does_not_grow_with_radii_or_steps(name, to_differentiate):
    def temporary(budget):
        search = getattr(attacks, name)(**budget)

        def total(params, images):
            logits_fn = functools.partial(toys.smooth_logits, params)
            labels = jnp.zeros(3, int)
            found = ja.nearest_boundary(
                logits_fn, images, labels, key=KEY, search=search
            )
            return jnp.sum(found.distances)

        run = jax.grad(total, argnums=(0, 1)) if to_differentiate else total
        program = jax.jit(run).lower(PARAMS, toys.images()).compile()
        return program.memory_analysis().temp_size_in_bytes

    few, many = map(temporary, BUDGETS[name])
    # The radii and the sizes of the steps themselves are numbers of the program.
    assert many <= few + 4096


@pytest.mark.slow
def test_jitted_an_ensemble_is_traced_once_for_all_keys_and_weights():
    traced = []

    @jax.jit
    def run(params, images, key):
        def logits_fn(x):
            traced.append(x.shape)
            return toys.smooth_logits(params, x)

        labels = jnp.zeros(len(images), int)
        return ja.nearest_boundary(
            logits_fn, images, labels, key=key, search=small("fab", "pgd_l2")
        )

    first = run(PARAMS, toys.images(), KEY)
    count = len(traced)
    run(PARAMS, toys.images(), jax.random.key(1))
    other = run(toys.init_smooth(jax.random.key(5)), toys.images(), KEY)
    assert len(traced) == count > 0
    assert float(jnp.abs(first.points - other.points).max()) > 0


BOUNDARY = ja.BoundaryPoint(*[np.zeros(3)] * 5)
BAD_MEMBERS = [
    ([], r"search: expected at least one member, such as 'ddn', got \[\]"),
    ("", "search: expected a name, or several with commas .*, got ''"),
    ("fab,", "search: expected a name, or several .*, got 'fab,'"),
    ("naa", r"search: unknown 'naa'; known: ((?!\bnaa\b).)*$"),
    (["ddm"], "search: unknown 'ddm'; did you mean ddn"),
    ("releesed", "search: unknown 'releesed'; did you mean released"),
    (["all"], "search: expected members .'all' stands alone"),
    (["released"], "search: expected members .*got 'released'"),
    ([3], "search: expected names, members or attacks, got 3"),
    (3, "search: expected members"),
]


@pytest.mark.parametrize(("members", "message"), BAD_MEMBERS)
def test_bad_members(members, message):
    for make in (
        ja.BoundarySearch,
        lambda search: ja.nearest_boundary(
            model, toys.images(), jnp.zeros(3, int), search=search
        ),
    ):
        with pytest.raises(ValueError, match=message):
            make(members)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_bisections": -1}, "num_bisections: .* at least 0"),
        ({"gradient": "rays"}, "gradient: unknown 'rays'; did you mean ray"),
        ({"side": "in"}, "side: unknown 'in'; did you mean inside"),
        ({"leave": "x"}, "leave: unknown 'x'"),
        ({"norm": "l3"}, "norm: unknown 'l3'"),
        ({"bounds": (1, 0)}, "bounds: .* low < high"),
        (
            {"gradient": "nearest", "norm": "l1"},
            "norm: expected 'l2' for gradient='nearest'",
        ),
    ],
)
def test_bad_options_are_refused_when_the_search_is_made(options, message):
    with pytest.raises(ValueError, match=message):
        ja.BoundarySearch("ddn", **options)


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ("x", "units: expected 'pixels', 'normalized'"),
        ("12", "units: expected"),
        (((0, 0, 0), (1, 0, 1)), "units: .* above zero"),
        (((0, 0), (1, 1, 1)), "units: .* as many means"),
        (3.0, "units: expected"),
    ],
)
def test_bad_units(units, message):
    with pytest.raises(ValueError, match=message):
        ja.BoundarySearch.released(units=units)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (BOUNDARY, "search: expected members of a search, got a BoundaryPoint"),
        (None, "key: this method draws at random"),
        (
            ja.BoundarySearch.released(units=((0.5,), (0.5,))),
            "units: expected 3 means and 3 standard deviations",
        ),
    ],
)
def test_misuse(search, message):
    with pytest.raises(ValueError, match=message):
        ja.nearest_boundary(model, toys.images(), jnp.zeros(3, int), search=search)


def test_searches_of_the_same_names_and_options_are_one():
    """Equal and hashed alike, so one compiled program serves both."""
    search = ja.BoundarySearch("fab, bim", norm="linf", bounds=[0, 1])
    same = ja.BoundarySearch(["fab", "bim"], norm="linf")
    assert search == same
    assert hash(search) == hash(same)
    assert search.bounds == (0.0, 1.0)
    assert [member.name for member in search.members] == ["fab", "bim"]
    assert search != dataclasses.replace(search, side="inside")
    with pytest.raises(dataclasses.FrozenInstanceError):
        search.norm = "l2"
    traced = []

    @functools.partial(jax.jit, static_argnames="search")
    def run(x, search):
        traced.append(search)
        return x

    run(1.0, search=search), run(1.0, search=same)
    assert traced == [search]


def test_the_released_search_keeps_its_units():
    released = ja.BoundarySearch.released()
    assert released.units == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert dataclasses.replace(released, norm="linf").units == released.units
    assert released == ja.BoundarySearch.released()
    assert released != ja.BoundarySearch.released(units="pixels")
    assert ja.BoundarySearch.released(units="pixels").units is None
    assert ja.BoundarySearch().units is None


@pytest.mark.parametrize(
    "radii",
    [
        *((), (1.0, 0.5), (0.0, 1.0), (-1.0,), (1.0, 1.0), 3.0),
        *((np.inf,), (np.nan,), (True,), (np.True_,), "12", ("1",)),
    ],
)
@pytest.mark.parametrize("name", ["pgd_l2", "pgd_linf", "apgd_ce", "pgd_released"])
def test_bad_radii(name, radii):
    with pytest.raises(ValueError, match="radii: expected"):
        getattr(attacks, name)(radii=radii)


def test_images_too_large_for_the_optimality_conditions():
    images = jnp.zeros((1, 64, 64, 3))
    model = lambda x: jnp.mean(x, (1, 2))
    search = ja.BoundarySearch("ddn", gradient="nearest")
    with pytest.raises(ValueError, match="images: expected .* 4096 values"):
        ja.nearest_boundary(model, images, jnp.zeros(1, int), search=search)
