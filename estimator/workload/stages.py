"""What each pipeline stage holds: embedding, layers, multi-token prediction, head."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from estimator.costs.params import around_mtp_layer, kv_params, layer_params
from estimator.ground.errors import InfeasibleError
from estimator.specs.layout import EVEN, even_layout, parse_layout
from estimator.specs.model import BLOCKS, BlockKind, Transformer
from estimator.specs.scenario import Scenario
from estimator.workload.vocabulary import rows_of_rank

ElementKind = Literal["layer", "mtp", "embedding", "head"]
"""``mtp``: a layer of a multi-token-prediction module."""

Look = tuple[ElementKind, int, bool]


class Element(NamedTuple):
    """A part of a stage: a layer, or one of the model's ends."""

    kind: ElementKind
    name: str
    layer: int = -1
    """The layer whose shape it has; of those that look the same, the first."""
    mixer: BlockKind | None = None
    feed_forward: BlockKind | None = None
    has_own_weights: bool = True
    """Not those of a second head, which are the first one's."""

    @property
    def is_layer(self) -> bool:
        """Whether it has a mixer or a feed-forward block."""
        return self.kind in ("layer", "mtp")

    @property
    def look(self) -> Look:
        """What its cost depends on."""
        return (self.kind, self.layer, self.has_own_weights)


def elements(scenario: Scenario, num_stages: int) -> tuple[tuple[Element, ...], ...]:
    """Return what each stage holds.

    Raises
    ------
    InfeasibleError
        If the layout has another number of stages, or there are too few layers.
    """
    plan = scenario.plan
    return _stages(
        scenario.model, plan.stage_layout, num_stages, f"{plan.schedule} on {plan.pp}"
    )


@lru_cache(maxsize=256)
def _stages(
    model: Transformer, text: str, num_stages: int, what: str
) -> tuple[tuple[Element, ...], ...]:
    if text == EVEN:
        stages = even_layout(model.num_layers, model.num_mtp_modules, num_stages)
    else:
        stages = parse_layout(text)
    if len(stages) != num_stages:
        raise InfeasibleError(
            f"plan.stage_layout has {len(stages)} stages, but {what} ranks runs "
            f"{num_stages}",
            fix="plan.stage_layout: even",
        )
    if text == EVEN and not all(stages):  # a layout may leave one empty
        raise InfeasibleError(
            f"{num_stages} stages are more than {model.num_layers} layers can fill",
            fix=f"plan.pp: {model.num_layers}",
        )
    made = list(_layers(model))
    layers = iter(made)
    return tuple(
        tuple(
            element
            for symbol in stage
            for element in _elements(symbol, layers, made[-1])
        )
        for stage in stages
    )


def _layers(model: Transformer) -> Iterator[Element]:
    seen: dict[tuple[str, object], int] = {}
    for index, kind in enumerate(model.layer_kinds):
        blocks = BLOCKS[kind]
        look = (kind, model.local_attention(index))
        yield Element(
            "layer",
            f"layer {index}",
            seen.setdefault(look, index),
            next((block for block in blocks if block in ("attention", "mamba")), None),
            next((block for block in blocks if block in ("mlp", "moe")), None),
        )


def _elements(symbol: str, layers: Iterator[Element], last: Element) -> list[Element]:
    if symbol == "t":
        return [next(layers)]
    if symbol == "m":
        return [
            last._replace(kind="mtp", name="MTP layer"),
            Element("head", "MTP head", has_own_weights=False),
        ]
    kind: ElementKind = "embedding" if symbol == "E" else "head"
    return [Element(kind, kind)]


class Held(NamedTuple):
    """Parameters of a rank by how many copies of them exist."""

    shared: float = 0.0
    """Replicated over data- and context-parallel ranks."""
    experts: float = 0.0
    """Replicated over groups of expert-parallel ranks."""


def held(scenario: Scenario, element: Element) -> Held:
    """Return the parameters of one element on one rank.

    Those of a tied head are its embedding's where there is one stage. Where there are
    more tensor-parallel ranks than KV heads, each rank holds a whole KV head: copies
    count in weights, gradients and optimizer states.
    """
    model, plan = scenario.model, scenario.plan
    h, words = model.hidden_size, rows_of_rank(model, scenario.software, plan.tp)
    if element.kind == "head" and model.tied_embeddings and plan.pp == 1:
        return Held()
    if element.kind == "embedding":
        return Held((words + model.num_learned_positions / plan.tp) * h)
    if element.kind == "head":
        return Held(float(words * h) if element.has_own_weights else 0.0)
    layer = layer_params(model, model.layer_kinds[element.layer])
    more = float(around_mtp_layer(h)) if element.kind == "mtp" else 0.0
    if element.mixer == "attention":  # a rank has a KV head at least, of its own
        copies = max(1.0, plan.tp / model.attention.kv_heads)
        more += (copies - 1) * kv_params(model)
    experts = layer.experts / plan.degrees.expert_width
    return Held((layer.shared + more) / plan.tp, experts)


def total_held(scenario: Scenario, stages: list[tuple[Element, ...]]) -> Held:
    """Return the parameters of the rank that holds these stages.

    A tied head beside its embedding is the same weights.
    """
    parts = [element for stage in stages for element in stage]
    if scenario.model.tied_embeddings and any(p.kind == "embedding" for p in parts):
        parts = [part for part in parts if part.kind != "head"]
    each = [held(scenario, element) for element in parts]
    return Held(sum(item.shared for item in each), sum(item.experts for item in each))
