"""What-ifs of the network and of the scale-up domain move the step their way."""

import pytest

from estimator.answer.bill import bill
from estimator.answer.walk import Walk
from estimator.catalog.loading import load_scenario
from estimator.costs.rates import Layer, links
from estimator.workload.work import sizes

NAME = "deepseek-v3"


def step_s(*overrides, name=NAME):
    scenario = load_scenario(name, overrides)
    return Walk(scenario, peak_bytes=0.0).answer().step_s


@pytest.fixture(scope="module")
def as_it_is():
    return step_s()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "low", "high"),
    [
        ("cluster.fabric.oversubscription=2", 1.2, 2.0),
        ("cluster.fabric.oversubscription=4", 2.0, 4.0),
        ("cluster.fabric.bytes_per_s=25e9", 1.2, 2.0),
        ("cluster.fabric.bytes_per_s=100e9", 0.8, 1.0),
        ("cluster.fabric.latency_s=100e-6", 1.0, 1.1),
        ("cluster.fabric.efficiency=0.5", 1.0, 1.1),
        ("cluster.node.nvlink_bytes_per_s=32e9", 1.5, 2.0),
        ("cluster.node.nvlink_bytes_per_s=450e9", 0.99, 1.0),
        ("cluster.node.scaleup_domain=64", 0.85, 0.99),
        ("cluster.node.collectives.max_nics=2", 1.0, 1.02),
        ("cluster.fabric=ib-hdr-rail-optimised", 1.2, 2.0),
        ("cluster.fabric=ib-xdr-rail-optimised", 0.85, 1.0),
    ],
)
def test_a_what_if_moves_the_step_its_way(as_it_is, path, low, high):
    assert low * as_it_is < step_s(path) < high * as_it_is


def test_oversubscription_hurts_less_the_more_gpus_are_below_it(as_it_is):
    squeezed = "cluster.fabric.oversubscription=4"
    steps = [
        step_s(squeezed, f"cluster.fabric.pod_gpus={pod}") for pod in (8, 16, 32, 256)
    ]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] < step_s(squeezed)
    # 64 experts' ranks, and a stage's 128 replicas, fit below the layer
    assert steps[-1] == pytest.approx(as_it_is)


@pytest.mark.slow
def test_experts_within_an_nvl72_rack_exchange_over_nvlink():
    rack = load_scenario(NAME, ["cluster.node=gb200-nvl72"])
    assert sizes(rack, 4096).num_nodes == 1
    half = "cluster.fabric.bytes_per_s=25e9"
    in_a_rack = step_s("cluster.node=gb200-nvl72", half)
    assert in_a_rack < 1.1 * step_s("cluster.node=gb200-nvl72")
    chassis = ["cluster.node=gb200-nvl72", "cluster.node.scaleup_domain=4"]
    assert sizes(load_scenario(NAME, chassis), 4096).num_nodes == 16
    assert step_s(*chassis) > 2 * step_s("cluster.node=gb200-nvl72")
    assert step_s(*chassis, half) > 1.3 * step_s(*chassis)


def test_the_larger_the_scale_up_domain_the_shorter_the_step():
    steps = [
        step_s("cluster.node=gb200-nvl72", f"cluster.node.scaleup_domain={size}")
        for size in (4, 8, 16, 64)
    ]
    assert steps == sorted(steps, reverse=True)


def test_the_export_limit_bites_a_tensor_parallel_recipe_and_not_deepseek_s():
    whole, cut = (f"cluster.node.nvlink_bytes_per_s={rate}" for rate in (450e9, 200e9))
    assert step_s(cut) < 1.01 * step_s(whole)
    assert step_s(cut, name=f"{NAME}@tp8") > 1.05 * step_s(whole, name=f"{NAME}@tp8")


def test_planes_keep_the_speed_and_save_a_layer_of_switches(as_it_is):
    planes = "cluster.fabric.num_planes=8"
    assert step_s(planes) == as_it_is  # measured so: arXiv 2505.09343, table 4
    large = ["cluster.num_gpus=16384", "price=owned-h800"]
    one, eight = (
        bill(load_scenario(NAME, [*large, *more]), 1e6) for more in ([], [planes])
    )
    assert one["network_usd"] == pytest.approx(1.71 * eight["network_usd"])
    small = bill(load_scenario(NAME, ["price=owned-h800"]), 1e6)
    assert small["network_usd"] == eight["network_usd"]


def test_a_shared_nic_gives_each_gpu_its_share():
    rates = {
        name: links(
            load_scenario(NAME, [f"cluster.fabric={name}"]).cluster,
            Layer.SPECIFICATION,
            is_overlapped=False,
        ).nic_bytes_per_s
        for name in ("ib-ndr-rail-optimised", "ib-ndr-2-nics")
    }
    assert rates["ib-ndr-rail-optimised"] == 4 * rates["ib-ndr-2-nics"]
