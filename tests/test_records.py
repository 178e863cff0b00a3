"""A record's dimensions become the model they describe."""

import pytest

from estimator.catalog.records.models import transformer
from estimator.costs.params import params
from estimator.ground.errors import InputError


def record(parallel=None, seq_len=4096, **model):
    return {
        "id": "someone-1",
        "source": "a table",
        "model": {"name": "x", "type": "dense", "hidden": 1024, "heads": 8} | model,
        "batch": {"seq_len": seq_len},
        "parallel": parallel or {},
    }


def test_absent_kv_heads_head_dim_and_width_take_their_defaults():
    model = transformer(record(layers=4, vocab=1000))
    attention = model.attention
    assert (attention.kind, attention.kv_heads, attention.head_dim) == ("mha", 8, 128)
    assert (model.mlp.ffn_hidden_size, model.mlp.is_gated) == (4096, False)


def test_plain_models_tie_embeddings_and_gated_ones_do_not():
    plain = transformer(record(layers=4, vocab=1000))
    gated = transformer(record(layers=4, vocab=1000, ffn=2048, gated_mlp=True))
    said = transformer(record(layers=4, vocab=1000, tied_embeddings=False))
    assert [m.tied_embeddings for m in (plain, gated, said)] == [True, False, False]


def test_shared_width_is_split_over_the_shared_experts():
    moe = {
        "experts": 8,
        "top_k": 2,
        "moe_ffn": 512,
        "shared_experts": 2,
        "shared_ffn": 3000,
    }
    model = transformer(
        record(
            type="moe",
            layers=4,
            vocab=1000,
            gated_mlp=True,
            dense_layers=1,
            dense_ffn=4096,
            **moe,
        )
    )
    assert model.moe.shared_ffn_hidden_size == 1500
    assert model.moe.shared_width == 3000
    assert model.layer_kinds == ("dense", "moe", "moe", "moe")


def test_a_moe_step_makes_every_second_layer_sparse():
    moe = {
        "experts": 8,
        "top_k": 1,
        "moe_ffn": 512,
        "moe_layer_step": 2,
        "dense_ffn": 2048,
    }
    model = transformer(record(type="moe", layers=4, vocab=1000, gated_mlp=True, **moe))
    assert model.layer_kinds == ("dense", "moe", "dense", "moe")


def test_squared_relu_and_learned_positions_are_read():
    model = transformer(record(layers=2, vocab=10, act="squared-relu", pos="learned"))
    assert model.mlp.activation == "squared-relu"
    assert model.num_learned_positions == 4096


def test_layers_that_are_not_printed_follow_from_the_size_in_the_name():
    model = transformer(
        record({"pp": 12}, name="gpt-200B", hidden=14400, heads=96, vocab=250880)
    )
    assert model.num_layers % 12 == 0
    assert params(model).total == pytest.approx(200e9, rel=0.1)


def test_a_model_without_layers_or_size_is_refused_by_its_id():
    with pytest.raises(InputError, match="someone-1 does not say how many layers"):
        transformer(record(vocab=1000))
