"""Traffic between products and steps: gradients, shards, dropout, biases, collectives."""

import pytest

from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load_scenario
from estimator.catalog.records.scenarios import mapped
from estimator.costs.collectives import all_reduce_s, group
from estimator.engine.operations import Stream, play
from estimator.ground.errors import InputError
from estimator.schedules.notation import Op
from estimator.validation.predictions import predict
from estimator.workload.memory import layer_activations
from estimator.workload.stages import elements, total_held
from estimator.workload.work import sizes

FLAT = ("plan.tp=1", "plan.pp=1", "plan.schedule=1f1b", "plan.stages_per_rank=1")
ONE_NODE = ("model=gpt2-1.5b", "cluster.num_gpus=8", *FLAT, "recompute=none")
EIGHT = ("phases.0.global_batch_size=64",)
SPLIT = (
    "model=llama-3-8b",
    "cluster.node=hgx-h100",
    "cluster.num_gpus=8",
    "price=h100-cudo-2025-03",
    *FLAT[1:],
    "plan.tp=8",
    "recompute=none",
    "software.kernels.attention=fused",
    "software.defaults.dropout=false",
    "software.kernels.library=transformer_engine",
)


def model(*overrides, base=ONE_NODE):
    return StepModel(load_scenario("gpt3-175b", (*base, *EIGHT, *overrides)), 2048)


def compute_s(chunks, op="F"):
    made = chunks.operations(op, 0)
    return sum(step.seconds for step in made if step.stream is Stream.COMPUTE)


def weights(made):
    held = total_held(made.scenario, made.chunks().stages)
    return held.shared + held.experts


def test_passes_over_gradients_move_what_they_read_and_write():
    plain = model().optimizer_parts()
    passes = "software.gradients.passes=[average, check]"
    fp16 = "precision.recipe=fp16", "software.gradients.fp16_format=fp32"
    assert "unscale gradients" not in model(passes).optimizer_parts()
    made = model(passes, *fp16)
    parts, rate = made.optimizer_parts(), made.chunks().timing.device.hbm_bytes_per_s
    count = weights(made)
    assert parts["average gradients"] == pytest.approx(8 * count / rate)
    assert parts["check gradients"] == pytest.approx(4 * count / rate)
    assert parts["unscale gradients"] == pytest.approx(8 * count / 8 / rate)
    assert {name: parts[name] for name in plain} == plain


def test_adam_its_norm_and_the_copy_move_46_bytes_a_weight_of_the_shard():
    made = model()
    parts, rate = made.optimizer_parts(), made.chunks().timing.device.hbm_bytes_per_s
    shard = weights(made) / 8
    # gradient 4, master weight and two moments 8 each, copy 4 in and 2 out; norm, clip
    assert parts["Adam"] == pytest.approx((4 + 3 * 8 + 6) * shard / rate)
    assert parts["norm and clipping"] == pytest.approx((4 + 8) * shard / rate)


def test_updated_weights_gathered_in_pieces_cost_the_host_copies_of_each_tensor():
    way = "software.gradients.overlaps_gather=false"
    whole, pieces = (
        model(way, f"software.storage.shard_buffer={buffer}")
        for buffer in ("in-place", "pieces")
    )
    calls = whole.chunks().host.piece_calls * whole.chunks().host.dispatch_s
    attention, block, norms = 2, 2, 2  # QKV and output; up and down; before each
    tensors = (attention + block + norms) * whole.scenario.model.num_layers
    longer = {
        name: seconds - whole.optimizer_parts()[name]
        for name, seconds in pieces.optimizer_parts().items()
    }
    (longer_s,) = [seconds for seconds in longer.values() if seconds]
    assert longer_s == pytest.approx(tensors * 8 * calls)


def test_averaging_one_replica_costs_nothing():
    alone = model("cluster.num_gpus=1", "software.gradients.passes=[average]")
    assert alone.optimizer_parts()["average gradients"] == 0


@pytest.mark.parametrize(
    ("buffer", "forward", "backward"),
    [("per-weight", 4, 4 + 6), ("flat", 0, 4 + 8)],
)
def test_sharded_weights_are_copied_as_pytorch_copies_them(buffer, forward, backward):
    made = model("plan.zero=3", f"software.storage.shard_buffer={buffer}")
    chunks, in_place = (
        made.chunks(),
        model("plan.zero=3", "software.storage.shard_buffer=in-place"),
    )
    layers = sum(
        chunks.exchanges.sharding.gather_bytes(part) / 2
        for part in chunks.stages[0]
        if part.is_layer
    )
    rate, all_weights = chunks.timing.device.hbm_bytes_per_s, weights(made)
    assert in_place.chunks().seconds("F", 0) <= chunks.seconds("F", 0)
    longer_s = compute_s(chunks) - compute_s(in_place.chunks())
    assert longer_s == pytest.approx(forward * all_weights / rate, rel=0.02)
    longer_s = compute_s(chunks, "B") - compute_s(in_place.chunks(), "B")
    copied = backward * layers + (backward - forward) * (all_weights - layers)
    assert longer_s == pytest.approx(copied / rate, rel=0.03)


def test_dropout_keeps_what_korthikanti_et_al_count():
    # Korthikanti et al. (2022), equation 1: sbh (34 + 5 a s / h) bytes a layer
    made = model("software.defaults.dropout=true", "plan.micro_batch_size=4")
    size = sizes(made.scenario, 2048)
    layer = elements(made.scenario, 1)[0][1]
    h, heads = size.model.hidden_size, size.model.attention.num_heads
    counted = 4 * 2048 * h * (34 + 5 * heads * 2048 / h)
    assert layer_activations(size, layer).total == pytest.approx(counted, rel=0.01)


def test_dropout_and_layers_of_their_own_biases_cost_time():
    plain = (
        "software.defaults.dropout=false",
        "software.kernels.library=transformer_engine",
    )
    dropping = ("software.defaults.dropout=true", plain[1])
    local = (plain[0], "software.kernels.library=local")
    for op in "FB":
        fast = model(*plain).chunks().seconds(op, 0)
        assert model(*dropping).chunks().seconds(op, 0) > fast
        assert model(*local).chunks().seconds(op, 0) > fast


def test_buckets_have_a_latency_each():
    hidden = "software.gradients.overlaps_reduction=true", "cluster.num_gpus=512"
    batch = "phases.0.global_batch_size=512"

    def reduced_s(size):
        made = model(*hidden, batch, f"software.gradients.bucket_size={size}")
        return made.optimizer_parts()["reduce-scatter of shared gradients"]

    whole, large, small = map(reduced_s, (0, 10**9, 10**6))
    assert whole < large < small  # one, two, and 1,600 of them


def test_nothing_is_cut_into_buckets_that_waits_for_the_last_gradient():
    parts = [
        model(f"software.gradients.bucket_size={size}").optimizer_parts()
        for size in (0, 10**6)
    ]
    assert parts[0] == parts[1]


def test_a_hidden_reduction_is_cheaper_than_a_waiting_one_and_not_free():
    waiting, hidden = (
        model(f"software.gradients.overlaps_reduction={flag}")
        for flag in ("false", "true")
    )
    name = "reduce-scatter of shared gradients"
    alone_s = waiting.optimizer_parts()[name]
    lengthened_s = hidden.optimizer_parts()[name]
    chunks = hidden.chunks()
    share = chunks.timing.num_comm_sms / chunks.timing.device.num_sms
    assert 0 < lengthened_s < alone_s
    exposed_s = alone_s / hidden.scenario.model.num_layers
    lent_s = lengthened_s - exposed_s
    assert 0 < lent_s < share * alone_s


def test_products_beside_gathered_weights_lose_the_sms_of_the_collective():
    sharded = "plan.zero=3"
    lending = model(sharded).chunks()
    keeping = model(sharded, "software.experts.num_comm_sms=0").chunks()
    gemm_s = [
        sum(
            part[1]
            for step in work.operations("F", 0)
            for part in step.parts
            if part[0] == "gemm"
        )
        for work in (lending, keeping)
    ]
    assert 1 < gemm_s[0] / gemm_s[1] < 1 / (1 - 20 / 108)
    assert lending.seconds("F", 0) > keeping.seconds("F", 0)


def test_a_chip_of_few_cores_lends_none():
    chunks = model("cluster.node=tpu-v5p-pod").chunks()
    assert chunks.timing.num_comm_sms == 0


def test_ranks_gather_in_the_format_of_the_recipe_and_scatter_in_bf16():
    half, quarter = (
        model(f"precision={name}", base=SPLIT).chunks()
        for name in ("bf16", "fp8-tensor")
    )
    assert half.exchanges.tensor.gather_s == pytest.approx(
        half.exchanges.tensor.split_s
    )
    assert quarter.exchanges.tensor.split_s == half.exchanges.tensor.split_s
    assert quarter.exchanges.tensor.gather_s < 0.7 * quarter.exchanges.tensor.split_s


def test_a_scale_for_each_row_costs_casts_and_leaves_gathers_in_bf16():
    rows, tensors = (
        model(f"precision={name}", base=SPLIT).chunks()
        for name in ("fp8-row", "fp8-tensor")
    )
    assert rows.exchanges.tensor.gather_s == pytest.approx(
        rows.exchanges.tensor.split_s
    )
    assert compute_s(rows, "B") > compute_s(tensors, "B")


def test_ranks_that_do_not_split_the_sequence_reduce_it_once():
    made = model("plan.sequence_parallel=false", base=SPLIT)
    chunks = made.chunks()
    reduced = [step for step in chunks.operations("F", 0) if "all-reduce" in step.name]
    assert len(reduced) == 2 * made.scenario.model.num_layers + 1  # the embedding's
    expected_s = all_reduce_s(2.0 * 4096 * 2048, group(8, 1, 8), chunks.exchanges.links)
    assert {step.seconds for step in reduced} == {expected_s}


def test_a_batch_that_comes_first_is_copied_around_each_collective():
    batch_first = (
        "software.communication.batch_first=true",
        "software.communication.tensor=none",
    )
    copying = model(*batch_first, base=SPLIT).chunks()
    plain = model(batch_first[1], base=SPLIT).chunks()
    copy_s = 4.0 * 4096 * 2048 / copying.timing.device.hbm_bytes_per_s
    longer_s = play(copying.operations("F", 0)).makespan_s
    longer_s -= play(plain.operations("F", 0)).makespan_s
    ends = 2  # the embedding's reduction, the head's gather
    assert longer_s == pytest.approx((4 * 32 + ends) * copy_s)


def test_a_checkpoint_that_stops_early_repeats_no_last_product():
    full = ("recompute=full", "software.communication.tensor=none")
    early = model(*full, "software.kernels.early_stop=true", base=SPLIT).chunks()
    whole = model(*full, base=SPLIT).chunks()
    flop = sum(step.flop for step in whole.operations("B", 0)) - sum(
        step.flop for step in early.operations("B", 0)
    )
    assert flop == pytest.approx(32 * 2.0 * 2048 * 4096 * 14336 / 8)
    assert early.seconds("B", 0) < whole.seconds("B", 0)


RECORD = {
    "id": "mlperf-v5.1-anybody-llama31_8b",
    "record": "run",
    "kind": "dense",
    "model": {
        "name": "llama3-8b",
        "type": "dense",
        "layers": 32,
        "hidden": 4096,
        "heads": 32,
        "kv_heads": 8,
        "ffn": 14336,
        "gated_mlp": True,
        "vocab": 128256,
    },
    "cluster": {"gpu": "GB300", "gpus": 72},
    "precision": "FP8",
    "batch": {"global": 36, "seq_len": 8192},
    "measured": {"step_time_s": 0.16},
    "notes": "config config_GB300_18x4x1xtp1pp1cp2_8b.sh",
}


FLAT_RUN = RECORD | {
    "id": "megatron-readme-x",
    "cluster": {"gpu": "H100-80GB", "gpus": 64},
    "precision": "BF16",
    "batch": {"global": 64, "seq_len": 4096},
    "notes": "",
}


def test_a_run_without_a_pipeline_has_the_fastest_micro_batch_that_fits():
    flat, given = (
        predict("x", FLAT_RUN | {"parallel": {"tp": 8}, "batch": batch})[0][0]
        for batch in (FLAT_RUN["batch"], FLAT_RUN["batch"] | {"micro": 1})
    )
    assert flat.predicted < given.predicted
    assert any("sequences a micro-batch" in note for note in flat.assumptions)
    piped = FLAT_RUN | {"parallel": {"tp": 4, "pp": 2}}
    assert {plan.micro_batch_size for plan in mapped(piped).plans} == {1}


@pytest.mark.parametrize(
    "override",
    [
        "software.storage.shard_buffer=flat2",
        "software.gradients.passes=[clip]",
        "software.gradients.passes=average",
        "software.defaults.dropout=0.1",
    ],
)
def test_an_unknown_variant_is_told_with_what_there_is(override):
    with pytest.raises(InputError) as told:
        load_scenario("gpt3-175b", (override,))
    assert override.split(".")[1].split("=")[0] in str(told.value)


def test_a_weight_pass_of_its_own_scatters_what_a_whole_backward_pass_does():
    def scattered(operations):
        return sum(
            seconds
            for operation in operations
            for kind, seconds in operation.parts
            if kind == "gradient scattering"
        )

    chunks = model("plan.zero=3", "plan.schedule=zb-h1").chunks()
    whole, *parts = (scattered(chunks.operations(op, 0)) for op in (Op.B, Op.I, Op.W))
    assert whole > 0
    assert sum(parts) == pytest.approx(whole, rel=1e-12)


def test_a_message_in_parts_takes_a_part_of_the_link_and_a_gather():
    piped = (*SPLIT, "cluster.num_gpus=16", "plan.pp=2", "plan.sequence_parallel=false")
    whole, parted, along = (
        model(*more, base=piped).chunks().exchanges
        for more in (
            ("software.communication.splits_sends=false",),
            ("software.communication.splits_sends=true",),
            ("software.communication.splits_sends=true", "plan.sequence_parallel=true"),
        )
    )
    assert parted.send_bytes == along.send_bytes == whole.send_bytes / 8
    assert parted.rejoin_s == parted.tensor.split_s > 0
    assert along.rejoin_s == whole.rejoin_s == 0
    assert along.send_s(0, 1) < parted.send_s(0, 1) < whole.send_s(0, 1) / 2
