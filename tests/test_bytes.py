"""Bytes per element that stand in code, added up from what operations read and write.

``"h>f"`` is an operation that reads one element of 16 bits and writes one of 32.
"""

from estimator.costs import all_to_all, collectives, kernels, protocols
from estimator.costs.formats import FORMATS, SCALES, Format
from estimator.workload import (
    attention,
    context,
    ends,
    feed_forward,
    mamba,
    memory,
    stored,
    work,
)

BYTES = {"h": 2, "f": 4, "b": 1, ">": 0}
CASTS = "h>f", "f>h"


def moved(*operations):
    return sum(BYTES[letter] for operation in operations for letter in operation)


def test_norms():
    assert attention.NORM == mamba.NORM == moved("h>h")
    assert moved("hh>h") == attention.NORM_BACKWARD
    root = ("f>f", "f>", "f>f")  # square, mean, product with the inverse root
    assert moved(CASTS[0], *root, CASTS[1], "h>h") == attention.EAGER_NORM
    weight, product, sums = ("hh>h", "h>"), ("ff>f", "f>f"), ("fh>h",)
    backward = (*weight, *CASTS, *product, "ff>f", *sums)
    assert moved(*backward) == attention.EAGER_NORM_BACKWARD


def test_softmax_and_what_stands_around_it():
    each = ("h>f", "f>f", "f>f", "f>f", "f>h")  # cast, scale, mask, softmax, cast
    eager = attention.EAGER_SOFTMAX
    assert (eager.bytes, eager.num_kernels) == (moved(*each), len(each))
    assert eager.backward_bytes == moved(*each) - moved("f>f") + moved("ff>f")
    assert tuple(attention.FUSED_SOFTMAX) == (moved("h>h"), moved("hh>h"), 1)
    assert moved("h>hb") == attention.DROPOUT
    assert moved(">h", "h>") == attention.ALIBI
    assert moved("h>f", "f>f", "f>h") == attention.EAGER_ROTARY
    assert attention.COPY == context.COPY == moved("h>h")
    assert moved("h>") == attention.BIAS_GRADIENT
    assert moved("h>") + 12 / 8 == attention.E5M6_STASH
    assert memory.E5M6 == 12 / 8
    assert (memory.SCORE_BYTES, memory.EAGER_SCORE_BYTES) == (2, 4)
    assert moved(">hb") == memory.DROPPED_BYTES


def test_partial_results_of_a_ring():
    half = 0.5  # of a rank's queries
    short = context.IN_16_BITS
    assert (short.out, short.kv, short.d_kv) == (moved("hh>h"), 0, moved("hh>h"))
    assert (short.d_q, short.ends) == (half * moved("hh>h"), moved("h>h"))
    fused = context.IN_FP32
    assert (fused.out, fused.kv, fused.d_kv) == (moved("hf>f"), 0, moved("hf>f"))
    assert (fused.d_q, fused.ends) == (half * moved("h>") + moved("f>f"), moved("f>h"))
    eager = context.IN_FP32_EAGER
    assert eager.out == moved("h>f", "ff>f", "ff>f", "f>f")  # differences, a product
    assert (eager.kv, eager.d_kv) == (moved("h>h"), moved("h>f", "ff>f"))
    assert eager.d_q == half * moved("h>f", "f>") + moved("f>f")
    assert eager.ends == moved("f>h")


def test_losses_forward():
    exponential, quotient = ("f>f", "f>"), "f>f"
    several = moved("h>f", "f>", "f>f", *exponential, quotient)
    assert {name: made.bytes_per_logit for name, made in ends.LOSS_FORWARD.items()} == {
        "half": moved("h>h"),
        "fused": moved("h>h", ">f"),
        "in-place": moved("h>", "h>h"),
        "native": moved("h>f", "f>f", quotient),
        "unfused": several,
        "eager": several,
        "log-softmax": moved("h>f", "f>", "f>", "f>f"),
    }


def test_losses_backward():
    found = {name: made.bytes_per_logit for name, made in ends.LOSS_BACKWARD.items()}
    assert found == {
        "half": moved("h>h"),
        "fused": moved("f>h"),
        "in-place": moved("h>h"),
        "native": moved("f>", "f>h"),
        "unfused": moved("f>f", "f>h"),
        "eager": moved("f>f", "f>h") + moved("h>f"),
        "log-softmax": moved(">f", "f>", "ff>f", "f>h"),
    }


def test_what_losses_keep():
    logits_and_gradients = moved("h", "h")
    copies = {"half": 0, "in-place": 0, "fused": 2, "native": 2, "unfused": 2}
    expected = {n: logits_and_gradients + k * moved("f") for n, k in copies.items()}
    expected |= {
        "eager": logits_and_gradients + 4 * moved("f"),
        "log-softmax": moved("h", "f", "f", "f"),
    }
    assert expected == memory.LOGIT_BYTES


def test_ranks_that_share_a_vocabulary_agree_on_maximum_sum_and_maybe_the_target():
    with_target = {"unfused", "eager", "log-softmax"}
    expected = {name: 2 + (name in with_target) for name in ends.LOSS_FORWARD}
    assert expected == ends.LOSS_REDUCTIONS


def test_gradients_and_sums():
    assert moved("f>f") == work.ACCUMULATE
    assert moved("hh>h") == work.ADD
    assert work.Gemm("any", 1, 1, 1, "bf16").output_bytes == moved(">h")
    assert moved("f") == stored.MASTER
    assert moved("h") == stored.HALF
    kept = {"fp32": moved("f"), "bf16": moved("h"), "bf16+fp32": moved("hf")}
    assert kept == stored.KEPT
    reduced = {"fp32": moved("f"), "bf16": moved("h"), "bf16+fp32": moved("f")}
    assert reduced == stored.REDUCED


def test_gates_and_mixers():
    assert (moved("f"), moved("h")) == (feed_forward.FP32, feed_forward.BF16)
    between = moved(">h", "h>")  # the activation, written and read again
    assert between == feed_forward.UNFUSED_GATE
    assert 2 * between == feed_forward.UNFUSED_GATE_BACKWARD
    assert 2 * moved("h>h") == feed_forward.JOINED_GRADIENTS  # gate's and up's
    assert moved("h>h") == mamba.CONVOLUTION
    assert moved("hh>h") == mamba.GATE
    assert moved("f") == mamba.STATE_BYTES
    weight, index, position = 4, 4, 8
    assert weight + index + position == memory.ROUTING_BYTES


def test_number_formats():
    scales = moved("f") / 128
    assert scales == SCALES
    assert FORMATS["bf16"] == Format("bf16", 0, 0, 2, 2, 2)
    cast = moved("h>b")
    assert FORMATS["fp8"] == Format("fp8", cast, cast, 1 + scales, 1 + scales, 1)
    rows = moved("h>", "h>b")  # the maximum first
    assert FORMATS["fp8-row"] == Format("fp8_tensor", rows, rows, 2, 2, 1)
    both = moved("h>bb")
    assert FORMATS["fp8-tensor"] == Format("fp8_tensor", both, 0, 1, 2, 1)
    block = 1 + 1 / 32
    assert FORMATS["mxfp8"] == Format("fp8", 2 + 2 * block, 0, block, 2, 1)
    four = 4 / 8 + 1 / 16
    assert FORMATS["nvfp4"] == Format("nvfp4", 2 + 2 + 2 * four, 0, four, 2, four)
    operands = {"bf16": 2, "fp8": 1, "fp8_tensor": 1, "nvfp4": four}
    assert operands == kernels.DTYPE_BYTES


def test_tiles_are_those_of_the_libraries():
    def tiles(text):
        return {tuple(int(side) for side in tile.split("x")) for tile in text.split()}

    deep_gemm = tiles("128x128 128x112 128x96 128x64")
    cutlass = "128x256 256x128 128x192 128x160 128x128 128x112 128x96 64x128 128x64"
    assert set(kernels.TILES["fp8"]) == deep_gemm
    assert set(kernels.TILES["bf16"]) == tiles(f"{cutlass} 64x64")
    registers = 65536  # of 32 bits, on an SM: half of them at most are accumulators
    for each in kernels.TILES.values():
        assert all(rows * columns <= registers / 2 for rows, columns in each)


def test_an_sm_holds_64_warps():
    assert kernels.WARP * 64 == kernels.MOST_THREADS == 2048
    assert kernels.MOST_BLOCKS == 32


def test_what_libraries_send_at_a_time():
    # NCCL: DEFAULT_BUFFSIZE, NCCL_STEPS, ALLREDUCE_SLICESTEPS, P2P_LL_THRESHOLD
    assert protocols.NET_SLICE_BYTES == 2 * (4 << 20) / 8
    assert protocols.NET_CHANNELS == 2
    assert collectives.LOW_LATENCY_PEER_BYTES == 16 << 10
    weight, index = 4, 8  # DeepEP: float32 and int64
    assert weight + index == all_to_all.INDEX_BYTES
    # nccl-tests, PERFORMANCE.md
    twice = {"all_reduce": 2, "all_gather": 1, "reduce_scatter": 1, "all_to_all": 1}
    assert twice == collectives.FACTORS
