"""What propagation rules cost: every composite, DeepLIFT and the gradients that change.

Seconds of the compiled map over those of one input gradient, in turn, and beside it what
its rules need, counted: products of the linear layers and their transposes, an input
gradient being one of each. Then the same maps against zennit and captum on their own
networks, where they are installed: torch 2.13.0, and zennit 0.5.1, captum 0.9.0,
torchvision 0.28.0 and tqdm with ``--no-deps``; their weights are drawn by torch, and the
maps are compared.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import report, timing
from jaxattr import rules
from jaxattr.attributions.deeplift import deeplift
from jaxattr.attributions.excitation_backprop import EXCITATION, excitation_backprop
from jaxattr.attributions.lrp import lrp
from jaxattr.attributions.rectified import deconvnet, guided_backprop
from jaxattr.gradients import gradient
from jaxattr.interpreter.grouping import graph
from jaxattr.interpreter.nodes import LINEAR
from jaxattr.interpreter.program import trace

SEED = 0
PEERS = ("resnet50", "vgg16")
METHODS: dict[str, Callable[..., Any]] = {
    **{
        f"lrp {name}": functools.partial(lrp, composite=name)
        for name in rules.COMPOSITES
    },
    "excitation_backprop": excitation_backprop,
    "deeplift": deeplift,
    "guided_backprop": guided_backprop,
    "deconvnet": deconvnet,
}


def input_gradient(model, images, labels):
    """One forward and one backward pass."""
    return gradient(ja.scores.logit(model, labels), images)


def products(rule: rules.Rule, nonnegative: bool) -> int:
    """Of a linear layer, those of a rule, transposes included, beside the forward one."""
    several = 1 if nonnegative else 2
    match rule:
        case rules.ZPlus():
            return 2 * several
        case rules.AlphaBeta():
            return 4 * several if rule.beta else 2 * several
        case rules.Gamma():
            return 3
        case rules.Flat() | rules.WSquared():
            return 2
        case rules.ZBox():
            return 4
        case _:
            return 1


def gradients_needed(model, images, labels) -> dict[str, float]:
    """Of each method, the multiply-adds of linear layers over an input gradient's."""
    program, _ = trace(ja.scores.logit(model, labels), images)
    composites = {f"lrp {n}": c for n, c in rules.COMPOSITES.items()}
    composites["excitation_backprop"] = EXCITATION
    needed = {"deeplift": 1.5, "guided_backprop": 1.0, "deconvnet": 1.0}
    for name, composite in composites.items():
        whole = spent = 0.0
        layers = graph(program, program.inputs, composite.reading, program.inputs)
        for node in layers.nodes:
            if node.kind in LINEAR:
                weights = node.weight.shape
                outputs = math.prod(weights[a] for a in node.weight_axes)
                result = node.equations[0].outputs[0].shape
                cost = math.prod(result) * math.prod(weights) / outputs
                whole += 2 * cost
                extra = products(composite.rule(node), node.nonnegative)
                spent += cost * (1 + extra)
        needed[name] = spent / whole
    return needed


def own_table(name: str, batch: int, rounds: int, only: Sequence[str]) -> str:
    """All methods against one input gradient."""
    model = ja.models.load(name)
    images, labels = drawn(batch, model.input_size)
    args = (model, images, labels)
    chosen = {n: m for n, m in METHODS.items() if is_chosen(n, only)}
    needed = gradients_needed(*args)
    functions = [input_gradient, *chosen.values()]
    programs = timing.compile_all(functions, *args, threads=1)
    tells = not jax.config.jax_compilation_cache_dir
    with timing.alone():
        medians, taken = timing.in_turn(
            [functools.partial(program, *args) for program, _ in programs],
            rounds=rounds,
        )
    rows = []
    for i, method in enumerate(["input gradient", *chosen]):
        ratio = timing.ratio(taken, i, 0) if i else 1.0
        need = needed.get(method, 1.0)
        rows.append(
            (
                *(method, f"{medians[i]:.3g}", f"{ratio:.2f}"),
                *(f"{need:.2f}", f"{ratio / need:.2f}"),
                f"{programs[i][1]:.1f}" if tells else "cached",
            )
        )
    header = [
        *("method", "seconds", "input gradients", "needed", "over needed"),
        "compile s",
    ]
    return report.markdown(header, rows)


def peer_rows(name: str, batch: int, rounds: int, only: Sequence[str]) -> list[Any]:
    """One network, ours and theirs in turn."""
    from benchmarks import torch_rules

    model, network = torch_rules.load_both(name)
    images, labels = drawn(batch, model.input_size)
    rows = []
    for method, peer in torch_rules.pairs():
        if not is_chosen(method, only):
            continue
        function = METHODS.get(method, input_gradient)
        compiled, seconds = timing.compile_time(function, model, images, labels)
        with torch_rules.ready(network, method, peer, images, labels) as (run, result):
            ours = functools.partial(compiled, model, images, labels)
            golden = result(run())
            error = np.abs(np.asarray(ours()) - golden).max() / np.abs(golden).max()
            with timing.alone():
                medians, taken = timing.in_turn([ours, run], rounds=rounds)
        tells = not jax.config.jax_compilation_cache_dir
        row = (
            *(name, method, peer),
            *(f"{s:.3g}" for s in medians),
            f"{timing.ratio(taken, 1, 0):.2f}",
            f"{error:.1e}",
            f"{seconds:.1f}" if tells else "cached",
        )
        print(*row, flush=True)
        rows.append(row)
    return rows


def peers_section(names: Sequence[str], *arguments: Any) -> str:
    """A table, or why there is none."""
    try:
        from benchmarks import torch_rules

        versions = torch_rules.versions()
    except ImportError as error:
        return f"Skipped: {error}."
    rows = [row for name in names for row in timing.apart(peer_rows, name, *arguments)]
    header = [
        *("model", "method", "peer", "jaxattr s", "peer s", "times faster"),
        *("difference", "compile s"),
    ]
    return f"{versions}\n\n{report.markdown(header, rows)}"


def drawn(batch: int, size: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Images and labels."""
    images = jax.random.uniform(jax.random.key(SEED), (batch, *size, 3))
    return images, jnp.arange(batch)


def is_chosen(name: str, only: Sequence[str]) -> bool:
    """By any of its words."""
    return not only or not set(only).isdisjoint(name.split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--batch", type=int, default=8)
    add("--rounds", type=int, default=7)
    add("--model", default="efficientnet_lite0")
    add("--only", nargs="+", default=[], help="words in the names of methods")
    add("--peers", nargs="*", default=PEERS, help="networks for zennit and captum")
    add("--name", help="of the report (default: rules-BACKEND)")
    arguments = parser.parse_args()
    given = (arguments.batch, arguments.rounds, arguments.only)
    own = timing.apart(own_table, arguments.model, *given)
    print(own, flush=True)
    sections = [
        ("", f"Batch {arguments.batch}, medians over {arguments.rounds} rounds."),
        (f"{arguments.model}, against one input gradient", own),
    ]
    if arguments.peers:
        text = peers_section(arguments.peers, *given)
        sections.append(("Against zennit and captum", text))
    name = arguments.name or f"rules-{jax.default_backend()}"
    report.write(name, "Propagation rules", sections, SEED)


if __name__ == "__main__":
    main()
