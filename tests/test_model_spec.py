"""What an architecture may be, and what is refused."""

from collections import Counter
from dataclasses import replace

import pytest

from estimator.catalog import kinds, loading
from estimator.specs.model import (
    BLOCKS,
    Attention,
    LocalAttention,
    Mamba,
    Mlp,
    Moe,
    Transformer,
)


def small(**changes):
    fields = {
        "name": "small",
        "title": "Small",
        "source": "made up",
        "num_layers": 4,
        "hidden_size": 64,
        "vocab_size": 100,
        "attention": Attention(kind="mha", num_heads=4, head_dim=16),
        "mlp": Mlp(ffn_hidden_size=256),
    }
    return Transformer(**fields | changes)


EXPERTS = Moe(num_experts=8, experts_per_token=2, ffn_hidden_size=32)
MIXER = Mamba(num_heads=8, head_dim=16, state_size=16, num_groups=2)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("llama-3-8b", {"dense": 32}),
        ("deepseek-v3", {"dense": 3, "moe": 58}),
        ("mixtral-8x7b", {"moe": 32}),
        ("llama-4-maverick", {"dense": 24, "moe": 24}),
        ("nemotron-h-8b", {"mamba": 24, "attention": 4, "mlp": 24}),
        ("nemotron-h-56b", {"mamba": 54, "attention": 10, "mlp": 54}),
        ("nemotron-3-nano-30b-a3b", {"mamba": 23, "attention": 6, "experts": 23}),
    ],
)
def test_layer_kinds_are_those_of_the_published_model(name, kinds):
    assert Counter(loading.load("model", name).layer_kinds) == kinds


def test_maverick_s_experts_are_in_every_second_layer_from_the_second():
    kinds = loading.load("model", "llama-4-maverick").layer_kinds
    assert kinds[:4] == ("dense", "moe", "dense", "moe")


def test_every_kind_of_layer_has_blocks():
    for name in kinds.names("model"):
        assert all(BLOCKS[kind] for kind in loading.load("model", name).layer_kinds)


def test_multi_query_attention_has_one_kv_head():
    assert Attention(kind="mqa", num_heads=48, head_dim=256).kv_heads == 1


def test_a_layer_without_a_bound_sees_the_whole_sequence():
    local = LocalAttention(kind="chunked", window=8, global_every=4)
    attention = Attention(kind="mha", num_heads=4, head_dim=16, local=local)
    model = small(attention=attention)
    assert [model.attention_span(layer, 100) for layer in range(4)] == [8, 8, 8, 100]
    assert model.attention_span(0, 5) == 5
    assert small().attention_span(0, 100) == 100


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"hybrid_pattern": "M*-", "mamba": MIXER},
            "describes 3 layers, but num_layers is 4",
        ),
        (
            {"hybrid_pattern": "M*-Q", "mamba": MIXER},
            r"has 'Q'; its symbols are M \(mamba\)",
        ),
        ({"hybrid_pattern": "M*-M"}, "mamba and layers of kind M"),
        ({"mamba": MIXER}, "mamba and layers of kind M"),
        ({"hybrid_pattern": "*E*E"}, "moe is needed"),
        ({"mlp": Mlp()}, "mlp.ffn_hidden_size is needed: some layers are dense"),
        ({"moe": replace(EXPERTS, num_dense_layers=4)}, "none of 4 layers is of them"),
    ],
)
def test_a_model_that_contradicts_itself_is_refused(changes, problem):
    with pytest.raises(ValueError, match=problem):
        small(**changes)


def test_a_model_of_experts_alone_needs_no_dense_width():
    assert set(small(mlp=Mlp(), moe=EXPERTS).layer_kinds) == {"moe"}


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            lambda: Attention(kind="gqa", num_heads=6, num_kv_heads=4, head_dim=8),
            "6 heads cannot share 4",
        ),
        (lambda: Attention(kind="gqa", num_heads=6), "gqa attention needs head_dim"),
        (
            lambda: Attention(kind="mla", num_heads=6),
            "mla attention needs kv_lora_rank",
        ),
        (
            lambda: replace(EXPERTS, experts_per_token=9),
            "9 experts a token are more than 8",
        ),
        (
            lambda: replace(EXPERTS, num_expert_groups=3),
            "8 experts do not split into 3 groups",
        ),
        (
            lambda: replace(EXPERTS, groups_per_token=2),
            "2 groups a token are more than 1",
        ),
        (lambda: replace(MIXER, num_groups=3), "8 heads do not split into 3 groups"),
    ],
)
def test_a_part_that_cannot_be_is_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()
