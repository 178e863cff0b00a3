"""What software stores of weights and gradients, in bytes and in seconds."""

from pathlib import Path

import pytest

from estimator.answer.step_model import StepModel
from estimator.answer.training import memory_report
from estimator.catalog.loading import load, load_scenario
from estimator.costs.kernels import gemm_s
from estimator.costs.rates import Layer, device
from estimator.engine.operations import Stream
from estimator.workload import stored
from estimator.workload.buckets import buckets
from estimator.workload.chunks import Chunks
from estimator.workload.ends import LOSS_BACKWARD, LOSS_FORWARD, loss_kernel
from estimator.workload.memory import LOGIT_BYTES, head_buffer
from estimator.workload.stages import total_held

SEVEN = (
    "model=llama-2-7b",
    f"software={Path(__file__).parent / 'data' / 'neutral.yaml'}",
    "cluster.node=hgx-h100",
    "cluster.num_gpus=8",
    "plan.tp=1",
    "plan.pp=1",
    "plan.stages_per_rank=null",
    "plan.schedule=1f1b",
    "plan.micro_batch_size=1",
    "recompute=none",
    "price=h100-lambda-2024-09",
    "phases.0.seq_len=4096",
    "phases.0.global_batch_size=64",
)
FP8, FP4 = "precision.recipe=fp8-tensor", "precision.recipe=nvfp4"
BLACKWELL = "cluster.node=gb200-nvl72"
VOCABULARY = 2 * 32000 * 4096
"""Weights of its embedding and head."""


def made(*overrides):
    return StepModel(load_scenario("gpt3-175b", (*SEVEN, *overrides)), 4096)


def memory_of(*overrides):
    model = made(*overrides)
    batch = model.scenario.main_phase.global_batch_size.final
    return memory_report(model, batch).parts


def num_weights():
    model = made()
    return sum(total_held(model.scenario, list(model.chunks().stages)))


def layer_bytes(*overrides):
    """Bytes of a layer's weight that stands whole."""
    parts, ends = memory_of(*overrides), 2.0 * VOCABULARY
    return (parts["weights"] - ends) / (num_weights() - VOCABULARY)


def storage(**switches):
    return [f"software.storage.{name}={value}" for name, value in switches.items()]


@pytest.mark.parametrize(
    ("kept", "copies", "overrides", "expected"),
    [
        ("false", 1, [FP8], 1),
        ("false", 2, [FP8], 2),
        ("true", 2, [FP8], 4),
        ("true", 0, [FP8], 2),
        ("false", 0, [FP8], 2),  # nothing else to quantise from
        ("true", 2, ["precision.recipe=bf16"], 2),
        ("false", 2, [FP8, BLACKWELL], 1),  # products take it in either layout
        ("false", 2, [FP4, BLACKWELL], 2 * 9 / 16),
        ("true", 2, [FP4, BLACKWELL], 2 + 2 * 9 / 16),
    ],
)
def test_a_weight_takes_its_quantised_copies_and_16_bits_where_they_are_kept(
    kept, copies, overrides, expected
):
    switches = storage(keeps_16_bit_weights=kept, num_8_bit_copies=copies)
    assert layer_bytes(*overrides, *switches) == pytest.approx(expected)


def test_16_bits_stand_beside_fp4_unless_weights_travel_in_it():
    fp4 = FP4, BLACKWELL, *storage(num_8_bit_copies=2)
    beside = layer_bytes(*fp4, *storage(gathers_4_bits="false"))
    assert beside == pytest.approx(2 + layer_bytes(*fp4))


def test_fp8_does_not_take_less_memory_than_bf16_under_megatron_core():
    megatron = "software=megatron-core-2026-08"
    half, fp8 = (sum(memory_of(megatron, *more).values()) for more in ([], [FP8]))
    assert fp8 >= half


def test_weights_of_which_no_copy_is_kept_are_cast_in_each_pass():
    def moved(op, *overrides):
        model = made("precision.recipe=fp8-row", *overrides)
        steps = model.chunks().operations(op, 0)
        return sum(step.num_bytes for step in steps if step.stream is Stream.COMPUTE)

    layers = num_weights() - VOCABULARY
    for op in "FB":  # maxima found, then read and written: 2 + 2 + 1
        more = moved(op, *storage(num_8_bit_copies=0)) - moved(op)
        assert more == pytest.approx(5 * layers, rel=1e-3)


def seconds(part, *overrides):
    return made(*overrides).optimizer_parts()[part]


def test_weights_that_travel_in_8_bits_take_half_the_way_but_for_the_ends():
    gather = "all-gather of shared weights"
    long = "plan.zero=1", FP8, "model.num_layers=320"  # latencies are little
    half = seconds(gather, *long)
    short = seconds(gather, *long, *storage(gathers_8_bits="true"))
    assert short == pytest.approx(half / 2, rel=0.02)
    in_bf16 = storage(gathers_8_bits="true"), storage(gathers_8_bits="false")
    same = {seconds(gather, "plan.zero=1", *switch) for switch in in_bf16}
    assert len(same) == 1


def test_sharded_weights_that_travel_in_8_bits_wait_in_smaller_buffers():
    sharded = "plan.zero=3", FP8
    half = memory_of(*sharded)["weights"]
    assert memory_of(*sharded, *storage(gathers_8_bits="true"))["weights"] < half


@pytest.mark.parametrize(
    ("switches", "per_weight"),
    [
        ({}, 4 + 2 * 4),
        ({"moments": "bf16"}, 4 + 2 * 2),
        ({"moments": "int8"}, 4 + 2 * (1 + 4 / 256)),
        ({"main_weights": "bf16"}, 2 * 4),
        ({"main_weights": "bf16", "moments": "bf16"}, 2 * 2),
    ],
)
def test_the_optimizer_holds_a_main_weight_and_two_moments(switches, per_weight):
    whole = "plan.zero=0", *storage(**switches)
    found = memory_of(*whole)
    assert found["optimizer"] == pytest.approx(per_weight * num_weights())
    assert found["weights"] == pytest.approx(2 * num_weights())
    model = made(*whole)
    rate = model.chunks().timing.device.hbm_bytes_per_s
    held = per_weight if switches.get("main_weights") != "bf16" else per_weight + 2
    copied = 0 if switches.get("main_weights") == "bf16" else 4 + 2
    # its gradient read; all that it holds read and written; a copy for products
    assert model.optimizer_parts()["Adam"] * rate == pytest.approx(
        (4 + 2 * held + copied) * num_weights()
    )


def test_a_shard_in_16_bits_stands_beside_fp32_ones_where_it_is_kept():
    bare, kept = (
        memory_of("plan.zero=3", *storage(keeps_16_bit_weights=kept))["weights"]
        for kept in ("false", "true")
    )
    assert kept - bare == pytest.approx(2 * num_weights() / 8)


def gathers(*overrides):
    return sum(
        step.task == "weights"
        for op in "FB"
        for step in made("plan.zero=3", *overrides).chunks().operations(op, 0)
    )


def test_gathered_weights_stay_until_their_backward_pass_or_are_gathered_again():
    once = storage(gathers="once")
    layers = 32
    assert gathers() - gathers(*once) == layers
    kept, freed = (memory_of("plan.zero=3", *more)["weights"] for more in (once, []))
    assert kept == pytest.approx(2 * num_weights())
    assert freed < kept / 10


def test_behind_a_pipeline_weights_stay_gathered_where_the_software_says_so():
    unless = storage(gathers="twice-unless-pipelined")
    piped = "plan.pp=2", "plan.zero=3"
    assert not stored.stays_gathered(made(*unless).scenario)
    assert stored.stays_gathered(made(*unless, *piped).scenario)
    assert memory_of(*piped, *unless)["weights"] > 5 * memory_of(*piped)["weights"]


ONE_EACH = "phases.0.global_batch_size=8"
LATER = "software.gradients.are_preallocated=false"


def test_gradients_that_come_with_the_backward_pass_meet_no_activations():
    early, late = memory_of(ONE_EACH), memory_of(ONE_EACH, LATER)
    come = sum(early[name] for name in ("activations", "gradients"))
    assert late["activations"] + late["gradients"] == pytest.approx(
        max(early["activations"], early["gradients"])
    )
    assert late["activations"] + late["gradients"] < come
    several = "phases.0.global_batch_size=16"  # they stay while the next one runs
    assert memory_of(several, LATER) == memory_of(several)


def test_gradients_that_stay_are_cleared():
    assert seconds("clear and cast") > 0
    assert seconds("clear and cast", LATER) == 0


def test_fp16_runs_have_gradients_of_their_own_format():
    half = "software.gradients.fp16_format=bf16"
    assert memory_of(half) == memory_of()
    fp16 = memory_of(half, "precision.recipe=fp16")
    assert fp16["gradients"] == memory_of()["gradients"] / 2


def test_gradients_are_bucketed_by_replicas_that_do_not_share_an_optimizer():
    passes = "software.gradients.passes=[bucket]"
    assert seconds("bucket gradients", passes, "plan.zero=0") > 0
    assert "bucket gradients" not in made(passes).optimizer_parts()


def test_a_bucket_grows_with_the_replicas_where_that_is_more():
    def count(*overrides):
        model = made(*overrides)
        flat = [part for stage in model.chunks().stages for part in stage]
        return buckets(model.scenario, flat).shared

    small, each = "software.gradients.bucket_size=40000000", "bucket_per_replica"
    alone = count(small)
    assert count(small, f"software.gradients.{each}=1000000") == alone  # 8 replicas
    assert count(small, f"software.gradients.{each}=50000000") < alone / 2


def test_an_all_reduce_of_zero_1_is_never_hidden():
    way = "software.gradients.reduction=all-reduce"
    hidden = "software.gradients.overlaps_reduction=true"
    part = "all-reduce of shared gradients"
    assert seconds(part, way, hidden) == seconds(part, way)
    scattered = "reduce-scatter of shared gradients"
    assert seconds(scattered, hidden) < seconds(scattered)


PIECES = storage(shard_buffer="pieces")


def host_time(*overrides):
    model = made(*overrides)
    chunks: Chunks = model.chunks()
    names = [step.task for step in chunks.operations("F", 0)]
    return "launches" in names


def test_pieces_of_zero_3_are_waited_for_one_by_one():
    assert host_time("plan.zero=3", *PIECES)
    assert not host_time("plan.zero=1", *PIECES)


def test_a_weight_that_is_gathered_in_pieces_takes_the_hosts_time_under_zero_1():
    gather = "all-gather of shared weights"
    assert seconds(gather, *PIECES) > seconds(gather)


def test_ranks_that_share_a_vocabulary_have_dtensors_loss():
    plain = "software.kernels.loss=log-softmax"
    alone, shared = (made(plain, f"plan.tp={tp}") for tp in (1, 2))
    sizes = [model.chunks().timing.size for model in (alone, shared)]
    assert [loss_kernel(size) for size in sizes] == ["log-softmax", "eager"]
    for size, model, kernel in zip(
        sizes, (alone, shared), ("log-softmax", "eager"), strict=True
    ):
        logits = size.tokens * 32000 / size.tp
        held = head_buffer(size, list(model.chunks().stages))
        assert held == logits * LOGIT_BYTES[kernel]
        both = LOSS_FORWARD[kernel], LOSS_BACKWARD[kernel]
        for op, passes in zip("FI", both, strict=True):
            moved = model.chunks().timing.end("head", op, 132).num_bytes
            assert moved > logits * passes.bytes_per_logit


ODD = (
    "model=gpt2-1.5b",
    "cluster.node=hgx-a100",
    "price=a100-80-oracle-2025-03",
    "cluster.num_gpus=8",
)


def step_of(software, vocabulary):
    more = f"software={software}", f"model.vocab_size={vocabulary}"
    return made(*ODD, *more).step_s(8)


def test_an_odd_vocabulary_costs_who_does_not_fill_it_up():
    assert step_of("pytorch-fsdp2", 50257) > 1.02 * step_of("pytorch-fsdp2", 50304)
    filled = step_of("megatron-core-2026-08", 50257)
    assert filled == step_of("megatron-core-2026-08", 50304)


def test_model_flop_count_the_true_vocabulary():
    odd, filled = (
        made(*ODD, "software=megatron-core-2026-08", f"model.vocab_size={words}")
        for words in (50257, 50304)
    )
    assert odd.flop_per_token() < filled.flop_per_token()


def test_a_forward_product_reads_no_row_of_its_result():
    a100 = device(load("gpu", "a100-sxm-80"), Layer.ACHIEVABLE)
    shape = 8192, 50257, 4096
    ahead, back = (gemm_s(a100, shape, is_transposed=way) for way in (True, False))
    assert back > 3 * ahead
    narrow = 8192, 4096, 50257  # rows of the sum's length are read either way
    assert gemm_s(a100, narrow, is_transposed=True) == gemm_s(a100, narrow)
