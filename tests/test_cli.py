"""The command line keeps its contract."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest
import yaml

from estimator.catalog import kinds, reading
from estimator.show import listing


def test_run_prints_the_agreed_json(run):
    ran = run("run", "deepseek-v3", "--json")
    (made,) = ran.json
    assert not ran.err
    assert made["scenario"] == "deepseek-v3"
    assert (made["gpu"], made["num_gpus"]) == ("h800-sxm", 2048)
    assert set(made["cost"]) == {"gpu_usd", "energy_usd", "network_usd"}
    assert {"energy_joules", "co2_kg", "wall_s", "gpu_hours", "cost_usd"} <= set(made)
    assert [phase["basis"] for phase in made["phases"]] == [
        "simulated",
        "published",
        "published",
    ]
    step = made["step"]
    assert {
        "tokens_per_s",
        "tokens_per_s_per_gpu",
        "tflop_per_s_per_gpu",
        "mfu",
        "hfu",
    } <= set(step)
    assert {"mfu_noncausal", "bubble_fraction", "exposed_comm_s"} <= set(step)
    assert [row["rank"] for row in step["ranks"]] == list(range(16))
    assert {"weights", "gradients", "optimizer", "activations", "buffers"} == set(
        made["memory"]["parts"]
    )
    assert set(made["range"]) >= {"gpu_hours", "cost_usd"}
    assert {"name", "value", "unit", "source", "layer"} <= set(made["assumptions"][0])


@pytest.mark.slow
def test_run_takes_several_scenarios_and_overrides(run):
    ran = run(
        "run",
        "deepseek-v3",
        "deepseek-v3@h100",
        "--set",
        "cluster.num_gpus=4096",
        "--json",
    )
    assert [made["scenario"] for made in ran.json] == [
        "deepseek-v3",
        "deepseek-v3@h100",
    ]
    assert {made["num_gpus"] for made in ran.json} == {4096}


def test_variants_apply_from_left_to_right(run):
    (made,) = run("run", "deepseek-v3@1f1b+bf16+h100+ib-200g", "--json").json
    values = {row["name"]: row["value"] for row in made["assumptions"]}
    assert made["gpu"] == "h100-sxm"
    assert values["cluster.fabric.bytes_per_s"] == 25e9
    assert made["step"]["ranks"][0]["overlapped_s"] == 0


@pytest.mark.slow
def test_a_file_anywhere_works_like_a_built_in_one(run, tmp_path):
    document = yaml.safe_load(
        (kinds.data_folder() / "scenarios/deepseek-v3.yaml").read_text()
    )
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    (mine,) = run("run", str(path), "--json").json
    (built_in,) = run("run", "deepseek-v3", "--json").json
    assert mine == built_in


def test_a_file_may_patch_what_it_names(run, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "base: deepseek-v3\nname: mine\n"
        "price: {base: deepseek-2usd, usd_per_gpu_hour: 4 USD/h}\n"
        "cluster: {node: {base: hgx-h800, nvlink_bytes_per_s: 100 GB/s}}\n"
    )
    (mine,) = run("run", str(path), "--json").json
    assert mine["cost_usd"] == pytest.approx(mine["gpu_hours"] * 4)


def test_the_table_shows_what_a_reader_needs(run):
    ran = run("run", "deepseek-v3", "--layers")
    for words in (
        "GPU-hours",
        "as published, not predicted",
        "memory",
        "fits",
        "bubble",
    ):
        assert words in ran.out
    for words in ("Specification", "Achievable", "In situ", "Not counted", "DeepGEMM"):
        assert words in ran.out


def test_a_plan_that_does_not_fit_is_said_first(run):
    ran = run("run", "deepseek-v3", "--set", "recompute=none")
    assert ran.status == 0
    assert ran.out.startswith("It does not fit")
    assert "what it would take if it did" in ran.out


@pytest.mark.slow
def test_quiet_leaves_the_sources_out(run):
    assert "DeepGEMM" not in run("run", "deepseek-v3", "--quiet").out


@pytest.mark.slow
def test_compare_attributes_the_whole_difference(run):
    made = run("compare", "deepseek-v3@1f1b+bf16+h100", "deepseek-v3", "--json").json
    first, other = made["scenarios"]
    for key in ("gpu_hours", "cost_usd"):
        shares = sum(share[key] for share in made["attribution"])
        assert shares == pytest.approx(other[key] - first[key], rel=1e-9)
    assert len(made["attribution"]) == 4  # the H100 has a price of its own


@pytest.mark.slow
def test_compare_varies_a_path(run):
    ran = run(
        "compare", "deepseek-v3", "--vary", "cluster.num_gpus=1024,2048,4096", "--json"
    )
    assert [made["num_gpus"] for made in ran.json["scenarios"]] == [1024, 2048, 4096]


@pytest.mark.slow
@pytest.mark.parametrize("kind", listing.kinds())
def test_every_kind_is_listed_and_shown(run, kind):
    rows = run("list", kind, "--json").json
    assert rows
    assert all(row["name"] for row in rows)
    assert run("list", kind).status == 0
    name = rows[0]["name"]
    assert run("show", kind, name, "--json").json["name"] == name
    assert name in run("show", kind, name).out


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_the_schema_accepts_every_built_in_file(run, kind):
    import jsonschema

    schema = run("schema", kind).json
    for name in kinds.names(kind):
        document = json.loads(json.dumps(reading.read(kind, name)))
        jsonschema.validate(document, schema)


def test_the_schema_tells_what_a_field_is_and_its_unit(run):
    parts = run("schema", "scenario").json["$defs"]
    said = parts["Communication"]["properties"]["checks_collectives"]["description"]
    assert "hosts of all its ranks meet" in said
    gpu = run("schema", "gpu").json["$defs"]["Achievable"]["properties"]
    said = gpu["small_kernel_s"]["description"]
    assert said.startswith("How long a kernel runs")
    assert "constant in s" in said
    assert "`PEAK_OF`" in gpu["gemm"]["description"]
    assert ":data:" not in json.dumps(gpu)


def test_the_schema_refuses_a_bare_number(run):
    import jsonschema

    schema = run("schema", "price").json
    document = dict(reading.read("price", "deepseek-2usd")) | {"usd_per_gpu_hour": 2}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


@pytest.mark.parametrize("name", ["list", "show", "schema"])
def test_help_names_every_kind(run, name):
    said = " ".join(run(name, "--help").out.split())
    assert ", ".join(listing.kinds()) in said


def test_version_and_help(run):
    assert run("--version").out.strip() == version("estimator")
    assert "run" in run("--help").out


@pytest.mark.slow
def test_a_fresh_process_needs_neither_pandas_nor_streamlit():
    code = (
        "import sys, estimator.faces.cli.main as c; sys.argv[1:] = ['run', 'deepseek-v3', '--json'];"
        "c.cli(standalone_mode=False);"
        "sys.exit(any(name in sys.modules for name in ('pandas', 'streamlit', 'plotly')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.slow
def test_many_scenarios_stand_under_each_other(run):
    fabrics = (
        "ib-hdr-rail-optimised,ib-ndr-rail-optimised,ib-xdr-rail-optimised,roce-200,"
        "ib-ndr-fat-tree-2to1,ib-ndr-multi-plane,roce-400,efa-v2-3200,spectrum-x-800"
    )
    made = run("compare", "deepseek-v3", "--vary", f"cluster.fabric={fabrics}")
    lines = made.out.splitlines()
    assert made.status == 0
    assert lines[0].split()[0] == "fabric"
    assert [line.split()[0] for line in lines[1:10]] == fabrics.split(",")
    assert all("%" in line for line in lines[1:10])
    assert max(len(line.rstrip()) for line in lines) <= 110
    assert "Cost: rented GPUs (deepseek-2usd" in made.out
    assert "Not counted" in made.out


@pytest.mark.slow
def test_two_recipes_are_each_compared_with_their_own_first_row(run):
    made = run(
        *("compare", "deepseek-v3", "deepseek-v3@h100", "--vary"),
        "cluster.node.nvlink_bytes_per_s=450e9,200e9,100e9",
    )
    rows = [line.split() for line in made.out.splitlines()]
    assert ["deepseek-v3"] in rows
    assert ["deepseek-v3@h100"] in rows
    assert [row[-1] for row in rows if row[:2] == ["450", "GB/s"]] == ["+0.0%"] * 2
