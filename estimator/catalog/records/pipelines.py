"""The pipeline of a record: its schedule, its virtual stages and their layers."""

from __future__ import annotations

from estimator.catalog.records.models import Record
from estimator.catalog.records.rules import printed
from estimator.catalog.records.words import says
from estimator.specs.layout import EVEN
from estimator.specs.model import Transformer
from estimator.specs.software import Software


def schedule_of(record: Record, pp: int) -> tuple[str, int | None]:
    """Return the schedule's name and its virtual stages."""
    text = str(record.get("schedule") or "").lower()
    virtual = record.get("parallel", {}).get("vp")
    is_overlapped = says(text, r"(a2a|all-to-all) overlap")
    if pp == 1:
        return ("interleaved-1f1b-overlap", 1) if is_overlapped else ("1f1b", None)
    for words, name in printed.SCHEDULES:
        if says(text, words):
            return name, None
    if virtual in (None, 1):
        return "1f1b", None
    return f"interleaved-1f1b{'-overlap' * is_overlapped}", virtual


def layout_of(
    model: Transformer, software: Software, pp: int, schedule: str, virtual: int | None
) -> str:
    """Return the layout of a plan's stages: a framework's own, or lighter ends."""
    if not software.defaults.weighs_stages or pp == 1:
        each = virtual or (2 if schedule in ("zb-v", "v-half", "v-min") else 1)
        return layout(model.num_layers, model.num_mtp_modules, pp, each)
    h, matrices = model.hidden_size, 3 if model.mlp.is_gated else 2
    layer = 4 * h * h + matrices * model.mlp.ffn_hidden_size * h
    return weighed_layout(model.num_layers, layer, model.vocab_size * h, pp)


def layout(num_layers: int, num_mtp_modules: int, pp: int, virtual: int) -> str:
    """Return lighter first and last stages where layers miss by few.

    Llama 3 405B holds 126 layers on 128 places and zero-bubble models lack two by
    design: one less on either end. A multi-token-prediction module and its head stand
    in for up to three layers of the last stage, then of the first, as in the layouts
    of Megatron-LM's DeepSeek-V3 recipes. Otherwise layers are spread evenly, the
    remainder over the early stages.

    >>> layout(6, 0, 4, 1), layout(5, 1, 4, 1)
    ('Et|tt|tt|tL', 'Et|tt|tt|mL')
    >>> layout(8, 0, 4, 1), layout(13, 0, 4, 1)
    ('even', 'even')
    """
    stages = pp * virtual
    missing = -num_layers % stages
    if pp == 1 or not missing or missing > (3 if num_mtp_modules else 2):
        return EVEN
    each = (num_layers + missing) // stages
    off_last = min(each, missing) if num_mtp_modules else 1
    if missing - off_last > each:
        return EVEN
    counts = [each] * stages
    counts[-1] -= off_last
    counts[0] -= missing - off_last
    text = "E" + "|".join("t" * count for count in counts)
    return text + "m" * num_mtp_modules + "L"


def weighed_layout(
    num_layers: int, layer_weights: int, head_weights: int, num_stages: int
) -> str:
    """Return a layout by the weights of layers and head, as nanotron balances stages.

    A stage ends with the first block that takes it beyond its share; the embedding
    weighs nothing. Where the head ends a stage that is not the last, the loss stands
    alone; here the head goes with it. Source: huggingface/nanotron, commit 67c5ebb,
    ``models/base.py``, ``build_model``.

    >>> weighed_layout(16, 67_108_864, 268_435_456, 2)
    'Ettttttttttt|tttttL'
    >>> weighed_layout(16, 67_108_864, 268_435_456, 8)
    'Ettt|ttt|tt|ttt|tt|ttt||L'
    """
    total = num_layers * layer_weights + head_weights
    stages, done = ["E"], 0
    for _ in range(num_layers):
        stages[-1] += "t"
        done += layer_weights
        if done * num_stages > total * len(stages):
            stages.append("")
    stages += [""] * (num_stages - len(stages))
    return "|".join(stages) + "L"
