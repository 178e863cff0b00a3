"""A config.json becomes the right model; a wrong one says in one message what is wrong."""

import json
from pathlib import Path

import pytest
import yaml
from loops import each
from typer.testing import CliRunner

from estimator.catalog import loading
from estimator.catalog.foreign.families import FAMILIES
from estimator.catalog.foreign.huggingface import import_config, model_yaml
from estimator.costs.flop import flop_per_token
from estimator.costs.params import params
from estimator.faces.cli.main import cli
from estimator.ground.errors import InputError

SHAPES = yaml.safe_load(
    (Path(__file__).parent / "hf_configs.yaml").read_text(encoding="utf-8")
)
LLAMA, QWEN3_MOE = SHAPES["llama-3-8b"], SHAPES["qwen3-235b-a22b"]
DEEPSEEK_V3, NEMOTRON_H = SHAPES["deepseek-v3"], SHAPES["nemotron-h-8b"]
GPT_OSS, GPT2 = SHAPES["gpt-oss-120b"], SHAPES["gpt2-1.5b"]


def imported(config):
    return import_config(json.dumps(config))


def without(config, *keys):
    return {key: value for key, value in config.items() if key not in keys}


@each("name", list(SHAPES))
def test_an_imported_config_counts_what_the_built_in_model_counts(name):
    made, ours = imported(SHAPES[name]), loading.load("model", name)
    assert params(made) == params(ours)
    assert made.layer_kinds == ours.layer_kinds
    for seq_len in (512, 32768):
        assert flop_per_token(made, seq_len) == flop_per_token(ours, seq_len)


@each("name", list(SHAPES))
def test_an_imported_config_has_the_parts_of_the_built_in_model(name):
    made, ours = imported(SHAPES[name]), loading.load("model", name)
    assert made.attention == ours.attention
    assert (made.mamba, made.norm, made.is_parallel) == (
        ours.mamba,
        ours.norm,
        ours.is_parallel,
    )


def test_every_family_has_a_shape_here():
    kinds = {shape["model_type"] for shape in SHAPES.values()}
    kinds |= {
        shape["text_config"]["model_type"]
        for shape in SHAPES.values()
        if "text_config" in shape
    }
    assert kinds == set(FAMILIES)


@each("name", list(SHAPES))
def test_the_model_file_reads_back_as_a_file_of_its_own(name, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(model_yaml(json.dumps(SHAPES[name])), encoding="utf-8")
    assert loading.load("model", str(path)) == imported(SHAPES[name])


def test_the_model_file_says_where_it_comes_from():
    document = yaml.safe_load(model_yaml(json.dumps(LLAMA)))
    assert document["name"] == "meta-llama-3-8b"
    assert document["source"] == "config.json of meta-llama/Meta-Llama-3-8B"


def test_an_unknown_family_lists_those_that_are_known():
    with pytest.raises(InputError) as caught:
        imported(LLAMA | {"model_type": "qwen3_mo"})
    message = str(caught.value)
    assert message.startswith(
        "config.json has the model_type 'qwen3_mo', which is not known here"
    )
    assert all(family in message for family in FAMILIES)
    assert message.endswith("try 'qwen3_moe'")


def test_a_truncated_file_says_where_it_ends():
    text = json.dumps(LLAMA, indent=2)
    for end in range(1, len(text) - 1):
        with pytest.raises(InputError) as caught:
            import_config(text[:end])
        line = text[:end].count("\n") + 1
        assert f"config.json:{line}:" in caught.value.where[0]
        assert "cut off" in caught.value.why


def test_broken_json_that_is_whole_is_not_called_cut_off():
    with pytest.raises(InputError) as caught:
        import_config('{"model_type": llama}')
    assert caught.value.where[0].startswith("config.json:1:16: ")
    assert not caught.value.why


@pytest.mark.parametrize(
    ("config", "mistake"),
    [
        (
            LLAMA | {"num_hidden_layers": -3},
            "num_hidden_layers: write a whole number above 0, not -3",
        ),
        (
            LLAMA | {"hidden_size": 4096.0},
            "hidden_size: write a whole number above 0, not 4096.0",
        ),
        (
            LLAMA | {"vocab_size": True},
            "vocab_size: write a whole number above 0, not True",
        ),
        (
            LLAMA | {"attention_bias": "no"},
            "attention_bias: write true or false, not 'no'",
        ),
        (without(LLAMA, "num_attention_heads"), "num_attention_heads is missing"),
        (without(DEEPSEEK_V3, "kv_lora_rank"), "kv_lora_rank is missing"),
        (
            without(NEMOTRON_H, "hybrid_override_pattern"),
            "hybrid_override_pattern is missing",
        ),
        (
            QWEN3_MOE | {"mlp_only_layers": [0, 1]},
            "mlp_only_layers [0, 1] is more than",
        ),
        (
            QWEN3_MOE | {"use_sliding_window": True},
            "use_sliding_window True is more than",
        ),
        (
            GPT_OSS | {"layer_types": ["full_attention"] + ["sliding_attention"] * 35},
            "layer_types [",
        ),
        (DEEPSEEK_V3 | {"moe_layer_freq": 2}, "moe_layer_freq 2 is more than"),
    ],
)
def test_a_wrong_dimension_gets_one_message_that_names_it(config, mistake):
    with pytest.raises(InputError) as caught:
        imported(config)
    assert len(caught.value.where) == 1
    assert mistake in caught.value.where[0]


def test_every_mistake_is_in_the_one_message():
    with pytest.raises(InputError) as caught:
        imported(
            without(LLAMA, "vocab_size") | {"hidden_size": 0, "intermediate_size": -1}
        )
    assert len(caught.value.where) == 3


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"num_hidden_layers": 10**9}, "less than or equal to 4096"),
        ({"num_key_value_heads": 5}, "cannot share 5 KV heads"),
        ({"_name_or_path": "a/\x1b[31m"}, "control character"),
    ],
)
def test_no_model_file_is_written_that_would_be_refused(change, problem):
    with pytest.raises(InputError, match=problem):
        model_yaml(json.dumps(LLAMA | change))


def test_heads_that_cannot_share_are_refused_with_a_reason():
    with pytest.raises(InputError, match="32 heads cannot share 5 KV heads"):
        imported(LLAMA | {"num_key_value_heads": 5})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not JSON"),
        ("[1]", "holds no JSON object"),
        ("{}", "has no model_type"),
        ('{"model_type": "llama", "model_type": "qwen2"}', "gives 'model_type' twice"),
        ('{"model_type": 3}', "has no model_type"),
        ("[" * 100_000, "is out of proportion"),
        (
            '{"model_type": "llama", "hidden_size": ' + "9" * 5000 + "}",
            "is out of proportion",
        ),
    ],
)
def test_what_is_no_configuration_is_refused(text, problem):
    with pytest.raises(InputError, match=problem):
        import_config(text)


def test_all_layers_full_is_no_window():
    made = imported(GPT_OSS | {"layer_types": ["full_attention"] * 36})
    assert made.attention.local is None


def test_a_vision_model_s_text_config_is_what_counts():
    made = imported(SHAPES["gemma-3-27b"])
    assert made.vocab_size == 262208  # the class's default: the file does not say it
    assert made.num_layers == 62


def test_mixers_named_in_a_list_make_the_same_pattern():
    names = {"M": "mamba", "*": "attention", "-": "mlp"}
    pattern = NEMOTRON_H["hybrid_override_pattern"]
    listed = without(NEMOTRON_H, "hybrid_override_pattern")
    listed["layers_block_type"] = [names[symbol] for symbol in pattern]
    assert imported(listed).hybrid_pattern == pattern


@pytest.fixture
def config_json(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA), encoding="utf-8")
    return path


def test_the_command_prints_a_model_file_and_nothing_else(config_json):
    done = CliRunner().invoke(cli, ["import-hf", str(config_json)])
    assert done.exit_code == 0
    assert yaml.safe_load(done.stdout)["num_layers"] == 32


def test_a_scenario_can_name_the_file_that_the_command_writes(config_json, tmp_path):
    out = tmp_path / "x.yaml"
    done = CliRunner().invoke(cli, ["import-hf", str(config_json), "--out", str(out)])
    assert (done.exit_code, done.stdout) == (0, "")
    scenario = loading.load_scenario(
        "deepseek-v3", [f"model={out}", "plan.ep=1", "plan.stage_layout=even"]
    )
    assert params(scenario.model).total == 8_030_261_248


def test_a_config_that_is_not_there_is_an_input_error(tmp_path):
    done = CliRunner().invoke(cli, ["import-hf", str(tmp_path / "none.json")])
    assert isinstance(done.exception, InputError)
    assert "cannot be read" in str(done.exception)
