"""Every GPU of the catalog answers in each command, or is refused in one message."""

import pytest
from loops import each

from estimator.catalog import kinds, loading
from estimator.explore import uncertainty
from estimator.explore.plan import space

SCENARIO = """
name: small
model: llama-3.2-1b
cluster: {node: hgx-h100, fabric: ib-ndr-rail-optimised, num_gpus: 8}
plan: {zero: 1}
precision: bf16
recompute: none
price: h100-lambda-2024-09
power: world-average
phases: [{name: training, num_tokens: 1e9, seq_len: 2048, global_batch_size: 16}]
"""
NODES = {name: loading.load("node", name) for name in kinds.names("node")}
ALONE = set(kinds.names("gpu")) - {node.gpu.name for node in NODES.values()}
PLACES = {
    **{
        name: (f"cluster.node={name}", f"cluster.num_gpus={node.gpus_per_node}")
        for name, node in NODES.items()
    },
    **{name: (f"cluster.node.gpu={name}",) for name in sorted(ALONE)},
}
COMMANDS = {
    "run": ("--layers",),
    "sweep": ("--vary", "plan.zero=1,3", "--out", "rows.csv"),
    "plan": ("--evaluate", "1", "--top", "1"),
    "uncertainty": ("--samples", "4"),
    "trace": ("--out", "trace.json"),
}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A scenario of one node, few plans and few draws."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(space, "MICRO_BATCHES", (1,))
    monkeypatch.setattr(space, "MAX_PP", 1)
    monkeypatch.setattr(uncertainty, "SOBOL_SAMPLES", 2)
    (tmp_path / "small.yaml").write_text(SCENARIO)
    return "small.yaml"


@pytest.mark.slow
@each("place", PLACES)
def test_every_gpu_answers_or_is_refused_in_each_command(place, small, run):
    patches = [word for patch in PLACES[place] for word in ("--set", patch)]
    ended = {}
    for command, options in COMMANDS.items():
        ran = run(command, small, *options, *patches)
        assert ran.status in (0, 2), (command, ran.err)
        assert "Traceback" not in ran.err
        assert ran.status == 0 or ran.err.strip(), command
        assert "nan" not in ran.out.replace("nanotron", "")
        ended[command] = ran.status == 0 and " 0 fit" not in ran.out
    assert len(set(ended.values())) == 1, ended  # what one answers all do


def test_what_stands_in_for_bf16_is_said(small, run):
    old, new = (
        run("run", small, "--set", f"cluster.node={node}")
        for node in ("dgx1-v100", "hgx-h100")
    )
    assert "causal, of the FP16 peak" in old.out
    assert "V100 SXM2 32GB has no BF16: products run in FP16" in old.out
    assert "causal, of the BF16 peak" in new.out
    assert "products run in" not in new.out
