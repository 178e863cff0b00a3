"""Chunks against the kernel trace, and identities between their operations."""

from operator import attrgetter

import pytest

from estimator.answer.breakdown import executed_flop
from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load, load_scenario
from estimator.costs.flop import flop_per_token
from estimator.costs.rates import Layer, device
from estimator.engine.operations import Operation, Stream, play
from estimator.ground.errors import InfeasibleError
from estimator.specs.layout import check_layout, even_layout, parse_layout
from estimator.workload.ends import segment
from estimator.workload.feed_forward import moe_forward
from estimator.workload.layers import layer_segments
from estimator.workload.stages import elements
from estimator.workload.work import Traffic, sizes


def work_of(name, *overrides):
    return StepModel(load_scenario(name, overrides), 4096).chunks()


WORK = work_of("deepseek-v3")
MIDDLE = 7
MOE_LAYER = WORK.stages[MIDDLE][0]


def test_an_overlapped_pair_takes_as_long_as_in_the_trace():
    # deepseek-ai/profile-data train.json: 129.0 ms for 4 MoE layers, EP64
    assert WORK.seconds("OVERLAP_F_B", MIDDLE, MIDDLE) == pytest.approx(0.129, rel=0.05)


@pytest.mark.parametrize(
    ("segment", "traced_ms"),
    [
        ("mixer.forward", 4.60),
        ("ffn.forward", 4.64),
        ("ffn.input", 5.36),
        ("ffn.weight", 5.07),
        ("mixer.input", 9.54),
        ("mixer.weight", 2.40),
    ],
)
def test_segments_of_a_moe_layer_take_as_long_as_in_the_trace(segment, traced_ms):
    seconds = attrgetter(segment)(WORK.timing.layer(MOE_LAYER, 112)).seconds
    assert seconds * 1e3 == pytest.approx(traced_ms, rel=0.15)


def test_a_pair_is_shorter_than_its_halves_and_no_shorter_than_its_work():
    pair = WORK.seconds("OVERLAP_F_B", MIDDLE, MIDDLE)
    alone = WORK.seconds("F", MIDDLE) + WORK.seconds("B", MIDDLE)
    busy = {
        stream: sum(
            operation.seconds
            for operation in WORK.operations("OVERLAP_F_B", MIDDLE, MIDDLE)
            if operation.stream is stream
        )
        for stream in Stream
    }
    assert max(busy.values()) <= pair < alone


def test_a_full_backward_hides_part_of_its_exchange():
    split = WORK.seconds("I", MIDDLE) + WORK.seconds("W", MIDDLE)
    assert WORK.seconds("B", MIDDLE) < split


def test_without_overlap_a_pair_is_the_sum_of_its_operations():
    serial = work_of("deepseek-v3@no-overlap")
    made = serial.operations("OVERLAP_F_B", MIDDLE, MIDDLE)
    total = sum(step.seconds for step in made if step.stream is not Stream.LAUNCH)
    assert serial.seconds("OVERLAP_F_B", MIDDLE, MIDDLE) == pytest.approx(total)
    assert total == pytest.approx(
        sum(serial.seconds(op, MIDDLE) for op in "FB"), rel=1e-9
    )


@pytest.mark.parametrize("op", ["F", "I", "W", "B"])
@pytest.mark.parametrize("stage", [0, MIDDLE, 15])
def test_kinds_add_up_to_the_chunk(op, stage):
    spent = WORK.busy_by_cause(op, stage)
    assert sum(spent.values()) == pytest.approx(WORK.seconds(op, stage), rel=1e-9)


def test_operations_count_the_model_flop_and_what_is_not_counted_in_it():
    bare = load_scenario(
        "deepseek-v3",
        ["recompute=none", "model.num_mtp_modules=0", "plan.stage_layout=even"],
    )
    made = StepModel(bare, 4096).chunks()
    counted = flop_per_token(bare.model, 4096) * 4096
    moe_layers = bare.model.layer_kinds.count("moe")
    router = moe_layers * 3 * 2.0 * 4096 * 256 * 7168
    attention = bare.model.num_layers * 2.0 * 4096**2 * 128 * (192 + 128) / 2
    recomputed_scores = attention * ((3 * 192 + 2 * 128) / (192 + 128) - 2)
    expected = counted + router + recomputed_scores
    assert executed_flop(made) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("name", ["llama-3.1-405b", "gpt3-175b"])
def test_dense_models_are_carried_by_the_same_kernels(name):
    scenario = load_scenario(
        "deepseek-v3",
        [
            f"model={name}",
            "precision=bf16",
            "recompute=none",
            "plan={pp: 8, tp: 8, schedule: 1f1b}",
            "cluster.node=hgx-h100",
        ],
    )
    model = load("model", name)
    made = StepModel(scenario, 4096).chunks()
    counted = flop_per_token(model, 4096) * 4096 / 8
    assert executed_flop(made) == pytest.approx(counted, rel=0.03)
    assert made.busy_by_cause("F", 3)["exposed tensor-parallel"] > 0


def test_a_dense_layer_has_no_exchange():
    names = [op.name for op in WORK.operations("F", 0)]
    assert sum("dispatch" in name for name in names) == 1  # three dense layers, one MoE


def test_the_last_stage_carries_two_heads():
    kinds = [element.kind for element in WORK.stages[15]]
    assert kinds == ["layer", "mtp", "head", "head"]


def loss_s(kernel):
    """Seconds of DeepSeek-V3's loss on a B200, both ways, for 4,096 tokens."""
    where = ["cluster.node=hgx-b200", f"software.kernels.loss={kernel}"]
    made = work_of("deepseek-v3", *where)
    passes = [kernel for op in "FI" for kernel in segment(made.timing.size, "head", op)]
    losses = [kernel for kernel in passes if kernel.name.startswith("loss")]
    return sum(
        each.seconds(made.timing.device, made.timing.device.num_sms) for each in losses
    )


def test_a_loss_of_many_kernels_takes_about_as_long_as_a_b200_needs():
    # MooreThreads/SimuMax, b200_bf16_ceperm.json: Megatron-LM's, 52 bytes a logit,
    # written by its test_ce_permute_efficiency.py; the rate of this loss is not from it
    measured_s = 52 * 4096 * 129280 / (0.3246 * 8000 * 2**30)
    assert loss_s("unfused") == pytest.approx(measured_s, rel=0.15)


def test_each_pass_that_a_loss_saves_saves_time():
    names = ("half", "in-place", "fused", "native", "log-softmax", "unfused", "eager")
    seconds = [loss_s(name) for name in names]
    assert seconds == sorted(seconds)


COLLECTIVE = ("software.experts.dispatch=all-to-all", "precision.recipe=bf16")


def permuted_bytes(*overrides):
    """Bytes per token and element in which rows change places, forward."""
    size = sizes(load_scenario("deepseek-v3", (*COLLECTIVE, *overrides)), 4096)
    moved = sum(
        kernel.num_bytes for kernel in moe_forward(size) if kernel.name == "permutation"
    )
    return moved / size.expert_tokens / size.model.hidden_size


def test_around_a_collective_both_sides_order_rows():
    # eight rows a token: 4 bytes to order each, 2 to add it up, and the token's 2;
    # copied into the order of a rank's experts and back 8
    assert permuted_bytes() == 8 * (4 + 2) + 2 + 8 * 8


def test_a_rank_with_one_expert_has_nothing_to_order():
    assert permuted_bytes("plan.ep=256", "cluster.num_gpus=4096") == 8 * (4 + 2) + 2


def test_rows_change_places_on_a_b200_as_slowly_as_measured():
    # MooreThreads/SimuMax, test_ce_permute_efficiency.py: 12 bytes an element of six
    # rows and 4 of their token at 0.506 of 8,000 GiB/s, there and back
    b200 = device(load("gpu", "b200-sxm"), Layer.IN_SITU)
    measured_s = (6 * 12 + 4) / (0.506 * 8000 * 2**30)
    both = Traffic("both", (6 * 6 + 2) * 1e9, pattern="gathered")
    made = both.seconds(b200, b200.num_sms)
    assert made / 1e9 == pytest.approx(measured_s, rel=0.03)


def test_dense_and_moe_layers_share_their_attention():
    size = sizes(load_scenario("deepseek-v3"), 4096)
    dense, moe = (layer_segments(size, WORK.stages[0][index]) for index in (1, 4))
    norms_and_sums = 2
    shared = dense.mixer.forward[:-norms_and_sums]
    assert moe.mixer.forward[: len(shared)] == shared
    assert moe.mixer.weight == dense.mixer.weight


def test_streams_run_side_by_side_and_in_order():
    made = [
        Operation("a", Stream.COMPUTE, 2.0),
        Operation("b", Stream.COMMUNICATION, 5.0, needs=(0,)),
        Operation("c", Stream.COMPUTE, 1.0),
        Operation("d", Stream.COMPUTE, 1.0, needs=(1,)),
    ]
    played = play(made)
    assert played.start_s == (0.0, 2.0, 2.0, 7.0)
    assert played.makespan_s == 8.0


def test_a_layout_is_read_in_megatron_notation():
    stages = parse_layout("Et*4|(t*4|)*14tmL")
    assert len(stages) == 16
    assert (stages[0], stages[7], stages[15]) == ("Etttt", "tttt", "tmL")
    check_layout(stages, 61, 1)


def test_an_even_layout_holds_the_model_once():
    for num_stages in (1, 2, 7, 16, 61):
        check_layout(even_layout(61, 1, num_stages), 61, 1)


def test_more_stages_than_layers_are_refused():
    scenario = load_scenario("deepseek-v3", ["plan.stage_layout=even"])
    with pytest.raises(InfeasibleError, match="more than 61 layers can fill"):
        elements(scenario, 64)


def test_recomputed_experts_travel_once_more():
    made_again = work_of("deepseek-v3", "recompute=[moe]")
    names = [made.name for made in made_again.operations("B", MIDDLE)]
    assert sum(name.endswith("dispatch again") for name in names) == 4
    assert sum(name.endswith("combine again") for name in names) == 4
    assert not any("attention again" in name for name in names)


def test_dense_modules_leave_experts_alone():
    plain, dense = work_of("deepseek-v3"), work_of("deepseek-v3", "recompute=[mlp]")
    assert len(dense.operations("B", MIDDLE)) == len(plain.operations("B", MIDDLE))


def test_fused_experts_spend_less_time_on_memory():
    plain = work_of("deepseek-v3")
    fused = work_of("deepseek-v3", "software.experts.fused=true")
    for op in "FB":
        assert (
            fused.busy_by_cause(op, MIDDLE)["element-wise"]
            < plain.busy_by_cause(op, MIDDLE)["element-wise"]
        )
        assert fused.busy_by_cause(op, MIDDLE)["gemm"] == pytest.approx(
            plain.busy_by_cause(op, MIDDLE)["gemm"]
        )


def test_a_collective_sends_a_row_for_each_expert():
    once = work_of("deepseek-v3@bf16").exchanges.experts
    each = work_of(
        "deepseek-v3@bf16", "software.experts.dispatch=all-to-all"
    ).exchanges.experts
    assert each.dispatch_bytes == 4096 * 8 * 7168 * 2
    assert each.dispatch_bytes > 1.8 * once.dispatch_bytes
    assert each.dispatch_wait_s == 0 < once.dispatch_wait_s
