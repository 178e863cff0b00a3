"""Kernels of a pass, one by one: what each moves, and how many are launched."""

import pytest
from loops import each

from estimator.catalog.loading import load_scenario
from estimator.costs.flop import flop_per_token
from estimator.schedules.notation import Op
from estimator.workload import attention, context, ends, feed_forward, layers, mamba
from estimator.workload.work import (
    CHECKPOINT_STATES,
    DROPOUT_STATES,
    Traffic,
    sizes,
    weight_product,
)

FLAT = (
    "cluster.num_gpus=8",
    "plan.pp=1",
    "plan.schedule=1f1b",
    "plan.stages_per_rank=1",
    "phases.0.global_batch_size=64",
    "recompute=none",
    "software.defaults.dropout=false",
)
LLAMA = ("model=llama-3-8b", "plan.tp=1", *FLAT)
ENGINE = "software.kernels.library=transformer_engine"


def size_of(*overrides, base="gpt3-175b", length=1024):
    return sizes(load_scenario(base, overrides), length)


def moved(segment):
    """Return bytes and kernels of each kernel by its name; those of one add up."""
    found = {}
    for kernel in segment:
        num_bytes, launched = found.get(kernel.name, (0.0, 0))
        found[kernel.name] = (
            num_bytes + kernel.num_bytes,
            launched + kernel.num_kernels,
        )
    return found


@pytest.fixture(scope="module")
def llama():
    return size_of(*LLAMA, ENGINE)


@pytest.fixture(scope="module")
def latent():
    return size_of(base="deepseek-v3", length=4096)


# ---- attention


def test_rotation_reads_and_writes_queries_and_keys(llama):
    own = llama.model.attention
    elements = llama.tokens * (own.num_heads + own.kv_heads) * own.head_dim
    assert moved(attention.forward(llama, 0))["rotary"] == (4 * elements, 4)
    back = moved(attention.input_gradient(llama, 0))["rotary backward"]
    assert back == (4 * elements, 2 * 4)
    eager = size_of(*LLAMA, ENGINE, "software.kernels.fused_norms=false")
    assert moved(attention.forward(eager, 0))["rotary"] == (20 * elements, 4)


def test_latent_attention_norms_splits_rotates_and_assembles_its_keys(latent):
    own, heads = latent.model.attention, latent.heads
    rope, nope = own.qk_rope_head_dim, own.qk_nope_head_dim
    norms = 4 * (own.q_lora_rank + own.kv_lora_rank)
    split = 4 * (own.kv_lora_rank + rope)
    rotated = heads * (2 * rope * 2 + 2 * nope * 2 + 2 * rope)  # Q, K's parts, joined
    stash = heads * own.v_head_dim * (2 + 12 / 8)
    forward = moved(attention.forward(latent, 0))["rotary"]
    assert forward == (latent.tokens * (norms + split + rotated + stash), 15)
    parts = heads * (nope + own.v_head_dim)
    back = norms / 4 * 6 + rotated + stash + 2 * 2 * parts
    found = moved(attention.input_gradient(latent, 0))
    assert found["rotary backward"] == (latent.tokens * back, 2 * 15 + 2)
    again = found["again latent norms, rotary"]
    assert again == (latent.tokens * (norms + rotated), 6)


def test_gradients_of_queries_keys_and_values_are_cast_both_ways(latent):
    own, h = latent.model.attention, latent.model.hidden_size
    latents = own.q_lora_rank + own.kv_lora_rank
    wide = 3 * latent.heads * own.qk_dim + h + latents
    cast = 2 * 3 * wide + 3 * h * 2
    found = moved(attention.input_gradient(latent, 0))["casts backward"]
    assert found[0] == latent.tokens * cast


def test_inputs_read_by_three_products_add_up_three_gradients():
    separate = ("software.kernels.fused_projections=false", ENGINE)
    for fused, width in (("true", 2 * 3 + 2), ("false", 2 * 6)):
        size = size_of(*LLAMA, *separate, f"software.kernels.fused_norms={fused}")
        found = moved(attention.input_gradient(size, 0))["sum of input gradients"]
        assert found == (width * size.tokens * size.model.hidden_size, 1)


def test_gathered_keys_are_put_in_order_and_their_gradients_too():
    kernel = "software.kernels.attention=fused"
    exchange = "software.communication.context_exchange=all-gather"
    size = size_of(*LLAMA, ENGINE, "plan.cp=2", kernel, exchange)
    own = size.model.attention
    kv = 2 * own.kv_heads * own.head_dim * size.tokens * 2
    for is_backward, width in ((False, 4), (True, 4 + 6 + 4)):
        made = moved(attention.core(size, 0, is_backward=is_backward))
        assert made["order of gathered keys"] == (width * kv, 4)


@each(("sequences", "is_eager"), [(1, True), (2, True), (4, False)])
def test_megatron_s_softmax_takes_heads_times_sequences_in_fours(sequences, is_eager):
    size = size_of(
        "model=gpt2-1.5b", "plan.tp=1", f"plan.micro_batch_size={sequences}", *FLAT
    )
    assert size.heads % 2
    assert attention.has_eager_softmax(size) is is_eager


def test_steps_of_a_ring_launch_what_merges_them():
    kernels = {
        (made.num_kernels, made.num_backward)
        for made in (context.IN_16_BITS, context.IN_FP32, context.IN_FP32_EAGER)
    }
    # one for results, three for statistics; sums; or to FP32, differences, products
    assert kernels == {(1 + 3, 3), (2, 3), (12, 8)}


def test_states_of_generators_are_read_and_set_around_what_draws():
    assert DROPOUT_STATES.num_kernels == 2 * 2
    assert CHECKPOINT_STATES.num_kernels == 2 * 4
    assert (
        len(["cast", "square", "mean", "epsilon and root", "product", "cast", "weight"])
        == layers.EAGER_NORM_KERNELS
    )


# ---- feed-forward


def test_casts_of_a_dense_block_are_three_kernels_and_twice_as_many_backward(latent):
    assert moved(feed_forward.dense_forward(latent))["casts"][1] == 3
    assert moved(feed_forward.dense_input(latent))["casts backward"][1] == 2 * 3


def test_an_activation_backward_reads_a_gradient_and_its_inputs_and_writes_theirs():
    size = size_of(*LLAMA, ENGINE)
    width, up = size.model.mlp.ffn_hidden_size, 2 * size.model.mlp.ffn_hidden_size
    found = moved(feed_forward.dense_input(size))["activation backward"]
    assert found[0] == size.tokens * (2 * width + 2 * up + 2 * up)


def test_a_router_scores_in_fp32_and_chooses_in_many_small_kernels(latent):
    tokens, experts = latent.expert_tokens, latent.moe.num_experts
    h = latent.model.hidden_size
    found = moved(feed_forward.router_forward(latent))
    assert found["router"][0] == 2 * h * (tokens + experts) + 4 * tokens * experts
    scores = 4 * tokens * experts
    assert found["routing"] == (8 * scores, 31)  # DeepSeek's profile-data, train.json
    assert found["top-k"] == (2 * scores, 2)
    back = moved(feed_forward.router_backward(latent))["routing backward"]
    assert back == (8 / 2 * scores, 25)
    # choice, scores for the loss and loss, with a few around them
    assert tuple(feed_forward.FUSED_ROUTING) == (3 + 5, 3 + 2, 0)


def test_experts_activations_are_eight_kernels_and_twice_as_many_backward(latent):
    assert moved(feed_forward.moe_forward(latent))["activation"][1] == 8
    assert moved(feed_forward.moe_input(latent))["activation backward"][1] == 2 * 8


def test_permutations_are_two_kernels_either_way():
    for dispatch, launched in (("deduplicated", [2 * 2]), ("all-to-all", [2 * 2, 2])):
        how = f"software.experts.dispatch={dispatch}"
        size = size_of(
            how, "software.experts.fused=false", base="deepseek-v3", length=4096
        )
        assert launched == [
            kernel.num_kernels
            for kernel in feed_forward.moe_forward(size)
            if kernel.name == "permutation"
        ]


# ---- the state-space mixer


def test_a_state_space_mixer_moves_states_and_convolves_gates_and_norms():
    size = size_of("model=nemotron-h-8b", "plan.tp=1", *FLAT, ENGINE)
    own = size.model.mamba
    chunks = -(-size.tokens // own.chunk_size)
    states = chunks * own.num_heads * own.head_dim * own.state_size
    forward = moved(
        kernel for kernel in mamba.forward(size) if isinstance(kernel, Traffic)
    )
    # written in each chunk, then read and written in the recurrence, in FP32
    assert forward["scan states"] == (3 * 4 * states, 2)
    per_token = 4 * own.conv_size + (6 + 4) * own.inner_size
    mixing = "convolution, gate, norm"
    assert forward[mixing] == (size.tokens * per_token, 5)
    back = moved(mamba.input_gradient(size))
    assert back[f"{mixing} backward"] == (2 * size.tokens * per_token, 8)


# ---- the two ends


@pytest.mark.parametrize(
    ("op", "bytes_each", "launched"),
    [
        # gathered; masked between ranks; positions gathered and added; a transposition
        (Op.F, (2 + 2) + (2 + 2) + 6 + (2 + 2), 1 + 8 + 2 + 1),
        # gradient read, FP32 sums read and written; of positions read
        (Op.W, (2 + 8) + 2 + (2 + 2), 6 + 2 + 6 + 1),
    ],
)
def test_an_embedding_gathers_and_scatters_rows(op, bytes_each, launched):
    size = size_of(*FLAT, "plan.tp=8", "software.kernels.library=local")
    found = moved(ends.segment(size, "embedding", op))["embedding"]
    assert found == (bytes_each * size.tokens * size.model.hidden_size, launched)


@pytest.mark.parametrize(
    ("software", "tp", "rows"),
    [
        ("megatron-lm-2021-04", 1, 50304),
        ("megatron-lm-2021-04", 8, 6400),  # of 51200, 50 x 128 x 8
        ("pytorch-fsdp2", 1, 50257),
        ("pytorch-fsdp2", 8, 6283),
    ],
)
def test_a_vocabulary_is_filled_up_as_its_framework_does(software, tp, rows):
    switched = f"software={software}", "model.vocab_size=50257", f"plan.tp={tp}"
    size = size_of(*FLAT, *switched)
    (logits,) = (
        kernel for kernel in ends.segment(size, "head", Op.F) if kernel.name == "logits"
    )
    assert logits.n == rows


def test_losses_launch_what_they_are_counted_to():
    forward = {name: made.num_kernels for name, made in ends.LOSS_FORWARD.items()}
    back = {name: made.num_kernels for name, made in ends.LOSS_BACKWARD.items()}
    # one or a few of rows of logits, the others small: they pick targets and add up
    assert forward == {
        "half": 4,
        "fused": 4,
        "in-place": 4,
        "native": 3 + 3,
        "unfused": 6 + 14,
        "eager": 6 + 14,
        "log-softmax": 2 + 3,
    }
    assert back == {
        "half": 3,
        "fused": 3,
        "in-place": 3,
        "native": 4,
        "unfused": 10,
        "eager": 10,
        "log-softmax": 5,
    }


def test_the_host_s_calls_at_the_ends():
    copies, broadcasts, parts = 2 + 1, 1 + 1, 7  # tokens, labels, positions, masks
    assert ends.BATCH.num_kernels == copies + broadcasts + parts
    assert ends.MEAN_LOSS.num_kernels == 12
    assert ends.MEAN_LOSS_BACKWARD.num_kernels == 7
    sort, add_rows, clear, add = 3, 1, 1, 1
    assert sort + add_rows + clear + add == ends.SCATTER_KERNELS


def test_a_multi_token_module_norms_two_vectors_and_adds(latent):
    made = ends.mtp_projection(latent)
    norms = latent.tokens * latent.model.hidden_size * (2 * 4 + 6)
    assert moved(made.forward)["MTP norms"] == (norms, 4)
    assert moved(made.input)["MTP norms backward"] == (norms, 4)


def test_forward_flop_are_a_third_of_a_step_s(latent):
    model = latent.model
    whole = flop_per_token(model, 4096)
    assert flop_per_token(model, 4096, num_passes=1) == pytest.approx(whole / 3)


def test_a_weight_s_gradient_and_that_of_its_bias_are_a_product_and_a_sum_each():
    (fused,) = weight_product(size_of(), "w", 8, 4, 2, "bf16")
    assert fused.num_kernels == 2 * 2
    apart = size_of("software.gradients.fused=false")
    product, added = weight_product(apart, "w", 8, 4, 2, "bf16")
    assert product.num_kernels + added.num_kernels == 2 * 2


@each(("sums", "read_and_written"), [("fp32", 2 + 4 + 4), ("bf16", 2 + 2 + 2)])
def test_gradients_added_apart_are_read_with_what_they_are_added_to(
    sums, read_and_written
):
    size = size_of(
        f"software.gradients.format={sums}", "software.gradients.fused=false"
    )
    _, added = weight_product(size, "w", 8, 4, 2, "bf16")
    assert added.num_bytes == 8 * 4 * read_and_written
