"""The two ends of a model: batch, embedding, positions, head, loss, tied weights."""

import pytest

from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load_scenario
from estimator.costs.collectives import all_reduce_s, group
from estimator.ground.errors import InputError
from estimator.schedules.notation import Op
from estimator.workload import ends
from estimator.workload.vocabulary import rows_of_rank
from estimator.workload.work import HostCalls

ONE_STAGE = (
    "cluster.num_gpus=8",
    "plan.pp=1",
    "plan.schedule=1f1b",
    "plan.stages_per_rank=1",
    "recompute=none",
    "phases.0.global_batch_size=64",
)
SPLIT = ("model=llama-3-8b", "plan.tp=8", "plan.sequence_parallel=true", *ONE_STAGE)
SMALL = ("model=gpt2-1.5b", "plan.tp=1", *ONE_STAGE)
ENDS = {"embedding", "head"}


def chunks(*overrides, base=SPLIT):
    made = StepModel(load_scenario("gpt3-175b", (*base, *overrides)), 2048)
    return made.chunks()


def collectives_at_the_ends(work):
    made = [step for op in "FB" for step in work.operations(op, 0)]
    return {
        step.name: step.seconds
        for step in made
        if step.layer in ENDS and any("tensor" in kind for kind, _ in step.parts)
    }


def calls(work, kind, op="F"):
    segment = ends.segment(work.timing.size, kind, op)
    return sum(
        kernel.num_kernels for kernel in segment if isinstance(kernel, HostCalls)
    )


def loss_bytes(kernel, *overrides):
    """Bytes a logit, both ways."""
    work = chunks(f"software.kernels.loss={kernel}", *overrides)
    size = work.timing.size
    logits = size.tokens * rows_of_rank(size.model, size.software, size.tp)
    return sum(
        made.num_bytes / logits
        for op in "FI"
        for made in ends.segment(work.timing.size, "head", op)
        if made.name.startswith("loss")
    )


def test_a_vocabulary_shared_by_ranks_gathers_and_adds_up_at_both_ends():
    found = collectives_at_the_ends(chunks())
    assert set(found) == {
        "embedding reduce-scatter",
        "head all-gather",
        "head loss",
        "head input again",
        "head reduce-scatter backward",
        "embedding all-gather backward",
    }


def test_without_sequence_parallelism_the_ends_all_reduce_and_gather_nothing():
    found = collectives_at_the_ends(chunks("plan.sequence_parallel=false"))
    names = {"embedding all-reduce", "head loss", "head all-reduce backward"}
    assert set(found) == names


def test_one_rank_has_no_collective_at_its_ends():
    assert collectives_at_the_ends(chunks(base=SMALL)) == {}


def test_learned_positions_are_added_to_whole_vectors():
    found = collectives_at_the_ends(chunks("model=gpt3-175b", base=SPLIT[1:]))
    assert "embedding all-reduce" in found
    assert "embedding reduce-scatter" not in found


@pytest.mark.parametrize(("kernel", "count"), [("in-place", 2), ("unfused", 3)])
def test_ranks_agree_on_the_loss_by_all_reduces_of_a_number_a_token(kernel, count):
    work = chunks(f"software.kernels.loss={kernel}")
    once = all_reduce_s(
        4 * work.timing.size.tokens, group(8, 1, 8), work.exchanges.links
    )
    found = collectives_at_the_ends(work)["head loss"]
    assert found == pytest.approx(count * once)
    (loss,) = (step for step in work.operations("F", 0) if step.name == "head loss")
    assert loss.num_bytes == 4 * work.timing.size.tokens


def test_a_weight_pass_that_is_put_off_gathers_inputs_at_the_ends_too():
    split = ("plan.schedule=zb-h1", "plan.pp=2", "cluster.num_gpus=16")
    names = {step.name for step in chunks(*split).operations(Op.W, 1)}
    assert "head input again" in names


def test_losses_move_the_bytes_that_their_kernels_read_and_write():
    # TransformerEngine, cross_entropy.py: 2 + 4 and 4; Megatron-LM, fused: 22 and 10;
    # PyTorch, SoftMax.cu: cast 6, three readings and one writing of 4; backward 26
    for kernel, moved in (("in-place", 10), ("native", 32), ("log-softmax", 48)):
        assert loss_bytes(kernel, "plan.tp=1") == pytest.approx(moved)


def test_transformer_engines_loss_is_as_fast_as_a_b200_ran_it():
    # MooreThreads/SimuMax, b200_bf16_ceperm.json: 8 bytes a logit both ways at 0.2795
    work = chunks(
        "cluster.node=hgx-b200", "plan.tp=1", "software.kernels.loss=in-place"
    )
    measured_s = 8 * 2048 * 128256 / (0.2795 * 8000 * 2**30)
    size, device = work.timing.size, work.timing.device
    made_s = sum(
        kernel.seconds(device, device.num_sms)
        for op in "FI"
        for kernel in ends.segment(size, "head", op)
        if kernel.name.startswith("loss")
    )
    assert made_s == pytest.approx(measured_s, rel=0.1)


def test_a_batch_reaches_the_first_stage_and_the_last():
    one = chunks()
    assert calls(one, "embedding") - ends.BATCH.num_kernels == 0
    assert calls(one, "head") == ends.MEAN_LOSS.num_kernels
    two = chunks("plan.pp=2", "cluster.num_gpus=16")
    assert calls(two, "head") == ends.BATCH.num_kernels + ends.MEAN_LOSS.num_kernels


def test_learned_positions_and_dropout_cost_the_embedding_traffic():
    rotary = chunks("model=llama-3-8b", base=SMALL[1:]).timing.end(
        "embedding", "F", 108
    )
    learned = chunks(base=SMALL)
    plain = learned.timing.end("embedding", "F", 108)
    per_token = (
        plain.num_bytes
        / learned.timing.size.tokens
        / learned.timing.size.model.hidden_size
    )
    dropped = learned.timing.size.software.defaults.dropout
    assert rotary.num_bytes == 4 * 4096 * 2048 + dropped * 5 * 4096 * 2048
    assert per_token == 4 + 10 + 4 + 5 * dropped  # gather; positions; copy; mask


def test_tied_weights_are_held_once_on_one_rank():
    tied = StepModel(load_scenario("gpt3-175b", SMALL), 2048)
    untied = StepModel(
        load_scenario("gpt3-175b", (*SMALL, "model.tied_embeddings=false")), 2048
    )
    vocabulary = tied.scenario.model.vocab_size * tied.scenario.model.hidden_size
    ratio = untied.optimizer_parts()["Adam"] / tied.optimizer_parts()["Adam"]
    layers = 1.5e9 - vocabulary
    assert ratio == pytest.approx((layers + 2 * vocabulary) / 1.5e9, rel=0.05)


@pytest.mark.parametrize(("pp", "per_node"), [(2, 2), (16, 1)])
def test_tied_weights_of_two_ranks_are_added_up_between_them(pp, per_node):
    given = ("plan.pp=" + str(pp), f"cluster.num_gpus={pp}", "model=gpt2-1.5b")
    made = StepModel(load_scenario("gpt3-175b", (*SMALL, *given)), 2048)
    model = made.scenario.model
    num_bytes = 4 * model.vocab_size * model.hidden_size
    pair = group(2, 1 if per_node == 2 else 8, 8)
    expected = all_reduce_s(num_bytes, pair, made.chunks().exchanges.links)
    parts = made.optimizer_parts()
    assert parts["all-reduce of tied gradients"] == pytest.approx(expected, rel=0.01)


def test_weights_that_are_not_tied_are_nobodys_else():
    untied = ("plan.pp=2", "cluster.num_gpus=2", "model.tied_embeddings=false")
    made = StepModel(load_scenario("gpt3-175b", (*SMALL, *untied)), 2048)
    assert "all-reduce of tied gradients" not in made.optimizer_parts()


def test_positions_are_learned_or_slopes_not_both():
    with pytest.raises(InputError, match="has_alibi"):
        load_scenario("gpt3-175b", ("model.has_alibi=true",))
