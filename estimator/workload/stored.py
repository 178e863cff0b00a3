"""What is stored of one weight: working copies, a main one, moments, its gradient."""

from __future__ import annotations

from collections.abc import Mapping

from estimator.costs.formats import FORMATS
from estimator.specs.scenario import Scenario

HALF = 2
"""Bytes of a weight in 16 bits."""
MASTER = 4
"""Bytes of an FP32 master weight."""
MAIN: Mapping[str, int] = {"fp32": MASTER, "bf16": 0}
"""Bytes of a main weight beside the working copies; ``bf16``: it is one of them."""
BLOCK = 256
"""Elements of an 8-bit moment that share an FP32 scale (bitsandbytes and torchao,
``optim`` of both, recalled)."""
MOMENT: Mapping[str, float] = {"fp32": 4, "bf16": 2, "int8": 1 + 4 / BLOCK}
"""Bytes of a moment."""
REDUCED: Mapping[str, int] = {"fp32": 4, "bf16": 2, "bf16+fp32": 4}
"""Bytes of a gradient that is reduced."""
KEPT: Mapping[str, int] = {"fp32": 4, "bf16": 2, "bf16+fp32": 6}
"""Bytes of all gradients of one weight."""
READS_EITHER_WAY = ("fp8-tensor", "fp8-row")
"""Recipes whose scales serve a weight and its transpose alike."""
FIRST_OF_ANY_LAYOUT = "Blackwell"
"""NVIDIA's generation whose FP8 products take operands in any layout, so that none is
transposed; those of Hopper and Ada want both with the sum's elements side by side
(NVIDIA/TransformerEngine, ``pytorch/csrc/quantizer.cpp``, ``create_transpose``)."""


def gradient_format(scenario: Scenario) -> str:
    """Return the format that gradients are accumulated and reduced in."""
    gradients = scenario.software.gradients
    is_half = scenario.precision.recipe == "fp16"
    return gradients.fp16_format if is_half else gradients.format


def gradient_bytes(scenario: Scenario) -> int:
    """Return the bytes of a gradient that is reduced."""
    return REDUCED[gradient_format(scenario)]


def addition_bytes(scenario: Scenario) -> int:
    """Return the bytes that a kernel of its own moves to add a weight's gradient.

    None where products do that: 2 are read, 2 or 4 read and written.
    """
    form = gradient_format(scenario)
    if scenario.software.gradients.fused and form != "bf16+fp32":
        return 0
    return 6 if form == "bf16" else 10


def _is_sent_small(scenario: Scenario) -> bool:
    """Whether weights travel, and are stored, as they are multiplied."""
    storage = scenario.software.storage
    is_fp4 = scenario.precision.recipe == "nvfp4"
    return storage.gathers_4_bits if is_fp4 else storage.gathers_8_bits


def _has_half(scenario: Scenario) -> bool:
    """Whether 16-bit weights stand beside others that are multiplied by."""
    storage = scenario.software.storage
    is_fp4 = scenario.precision.recipe == "nvfp4"
    return (
        storage.keeps_16_bit_weights
        or storage.main_weights == "bf16"
        or (is_fp4 and not storage.gathers_4_bits)
    )


def num_copies(scenario: Scenario) -> int:
    """Return the quantised copies of a layer's weight between passes.

    None in 16 bits; one where a GPU multiplies by it and by its transpose.
    """
    recipe, gpu = scenario.precision.recipe, scenario.cluster.node.gpu
    wanted = scenario.software.storage.num_8_bit_copies
    if FORMATS[recipe].weight >= HALF:
        return 0
    serves_both = recipe in READS_EITHER_WAY and gpu.architecture == FIRST_OF_ANY_LAYOUT
    return min(1, wanted) if serves_both else wanted


def whole_bytes(scenario: Scenario, *, is_layer: bool = True) -> float:
    """Return the bytes of a weight that stands whole on its rank, main one apart.

    Quantised copies, and 16 bits beside them where the software keeps those, or has
    nothing else. Embedding and head are never quantised.
    """
    copies = num_copies(scenario) if is_layer else 0
    quantised = copies * FORMATS[scenario.precision.recipe].weight
    return quantised + HALF * (_has_half(scenario) or not copies)


def shard_bytes(scenario: Scenario) -> int:
    """Return the bytes of a weight of which a rank has its part, main one apart."""
    storage = scenario.software.storage
    return HALF * (storage.keeps_16_bit_weights or storage.main_weights == "bf16")


def sent_bytes(scenario: Scenario, *, is_layer: bool = True) -> float:
    """Return the bytes in which a weight travels between replicas."""
    weight = FORMATS[scenario.precision.recipe].weight
    return weight if is_layer and _is_sent_small(scenario) else HALF


def stays_gathered(scenario: Scenario) -> bool:
    """Whether gathered weights are there until the backward pass is over."""
    gathers = scenario.software.storage.gathers
    return gathers == "once" or (
        gathers == "twice-unless-pipelined" and scenario.plan.pp > 1
    )


def state_bytes(scenario: Scenario) -> float:
    """Return the bytes of a weight's main copy and moments."""
    storage = scenario.software.storage
    return MAIN[storage.main_weights] + 2 * MOMENT[storage.moments]


def cast_bytes(scenario: Scenario) -> float:
    """Return what making a layer's quantised copies moves per weight, once a step.

    From 16 bits read once; of weights that arrive quantised, the other way round alone.
    """
    copies, weight = num_copies(scenario), FORMATS[scenario.precision.recipe].weight
    if not copies:
        return 0.0
    if _is_sent_small(scenario):
        return (copies - 1) * 2 * weight
    return HALF + copies * weight
