"""What torchvision and timm call the layers of inverted bottlenecks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.inverted_bottleneck import Stage
from jaxattr.models.squeeze_excite import squeeze_excite_rules


class Place(NamedTuple):
    """Where a block is: the how manieth of all, its stage and how manieth in that."""

    number: int
    stage: int
    inner: int


def places(stages: Iterable[Stage]) -> Iterator[tuple[Place, Stage]]:
    """Every block; consecutive stages of one width count as one."""
    number, stage_number, inner, channels = 0, -1, 0, None
    for stage in stages:
        if stage.channels != channels:
            stage_number, inner, channels = stage_number + 1, 0, stage.channels
        for _ in range(stage.repeats):
            yield Place(number, stage_number, inner), stage
            number, inner = number + 1, inner + 1


def timm_block_rules(stages: Iterable[Stage]) -> Iterator[Rule]:
    """timm numbers the convolutions' norms, and names 1x1 ones by what they are for."""
    for place, stage in places(stages):
        ours, theirs = f"blocks/{place.number}", f"blocks.{place.stage}.{place.inner}"
        for i, (part, name) in enumerate(_timm_names(stage).items()):
            norm = f"{theirs}.bn{i + 1}"
            yield LayerRule(f"{ours}/{part}", f"{theirs}.{name}", norm=norm)
        if stage.gated:
            names = ("conv_reduce", "conv_expand")
            yield from squeeze_excite_rules(f"{ours}/gate", f"{theirs}.se", names)


def _timm_names(stage: Stage) -> dict[str, str]:
    if stage.fused:
        if stage.expansion == 1:
            return {"expand": "conv"}
        return {"expand": "conv_exp", "project": "conv_pwl"}
    if stage.expansion == 1:
        return {"depthwise": "conv_dw", "project": "conv_pw"}
    return {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}


def torchvision_block_rules(
    stages: Iterable[Stage], module: Callable[[Place], str]
) -> Iterator[Rule]:
    """torchvision numbers all parts of a block; ``module`` is what it calls the block."""
    for place, stage in places(stages):
        ours, theirs = f"blocks/{place.number}", f"{module(place)}.block"
        for i, part in enumerate(_parts(stage)):
            name = f"{theirs}.{i}"
            if part == "gate":
                names = ("fc1", "fc2")
                yield from squeeze_excite_rules(f"{ours}/gate", name, names)
            else:
                yield LayerRule(f"{ours}/{part}", f"{name}.0", norm=f"{name}.1")


def _parts(stage: Stage) -> list[str]:
    if stage.fused:
        return ["expand"] if stage.expansion == 1 else ["expand", "project"]
    expand = [] if stage.expansion == 1 else ["expand"]
    gate = ["gate"] if stage.gated else []
    return [*expand, "depthwise", *gate, "project"]
