"""The main job against its published figures, and what-ifs with their reasons."""

from pathlib import Path

import pytest
import yaml

from estimator.answer.api import estimate, layers
from estimator.catalog.loading import load_scenario
from estimator.costs.flop import flop_per_token, mfu
from estimator.costs.params import params

PUBLISHED = yaml.safe_load(
    (Path(__file__).parents[1] / "validation" / "deepseek-v3.yaml").read_text()
)


def simulated(name, *overrides):
    return estimate(load_scenario(name, overrides), has_range=False)


def within(value, figure):
    return value == pytest.approx(figure["measured"], rel=figure["tolerance"])


@pytest.mark.parametrize(
    "name", ["forward_s", "overlapped_s", "weight_s", "bubble_s", "optimizer_s"]
)
def test_the_rows_of_rank_0_are_as_published(report, name):
    assert within(getattr(report.step.ranks[0], name), PUBLISHED["step"][name])


def test_the_backward_row_counts_full_and_input_chunks(report):
    row = report.step.ranks[0]
    assert within(
        row.backward_s + row.backward_input_s, PUBLISHED["step"]["backward_s"]
    )


@pytest.mark.parametrize("name", ["step_s", "mfu", "mfu_noncausal"])
def test_the_step_is_as_published(report, name):
    assert within(getattr(report.step, name), PUBLISHED["step"][name])


def test_gpu_hours_and_cost_are_as_published(report):
    figures = PUBLISHED["run"]
    assert report.phases[0].basis == "simulated"
    assert within(report.phases[0].gpu_hours, figures["pre_training_gpu_hours"])
    assert within(report.gpu_hours, figures["gpu_hours"])
    assert within(report.cost_usd, figures["cost_usd"])
    published = [
        phase.gpu_hours for phase in report.phases if phase.basis == "published"
    ]
    assert sum(published) == figures["published_gpu_hours"]


def test_mfu_counts_as_deepseek_does():
    # arXiv 2505.09343, table 4: 38.94 % causal, 43.73 % not, at 19.926 s and 989 TFLOP/s
    model = load_scenario("deepseek-v3").model
    tokens_per_s = 15360 * 4096 / 19.926
    causal = mfu(flop_per_token(model, 4096), tokens_per_s, 2048, 989e12)
    full = mfu(flop_per_token(model, 4096, is_causal=False), tokens_per_s, 2048, 989e12)
    assert round(causal, 4) == 0.3894
    assert round(full, 4) == 0.4373


def test_parameters_are_as_published():
    count = params(load_scenario("deepseek-v3").model)
    assert round(count.total / 1e9, 2) == 671.03
    assert round(count.active / 1e9, 2) == 37.55


def test_it_fits_with_recomputation_and_not_without(report):
    assert report.memory.fits
    assert set(report.memory.in_flight) == {17}  # num_ranks + 1, as DeepSeek prints
    without = simulated("deepseek-v3", "recompute=none")
    assert not without.memory.fits
    assert "fits" in without.memory.advice


def test_nvlink_hardly_matters_without_tensor_parallelism(report):
    # Experts are reached over InfiniBand; NVLink only forwards, hidden behind it. What
    # is left is gradient synchronisation inside nodes.
    gain = report.step.step_s / simulated("deepseek-v3@h100").step.step_s - 1
    assert 0 < gain < 0.02


def test_half_the_fabric_costs_a_sixth_to_a_half(report):
    # All-to-alls take about as long as computation: at half the rate they stick out,
    # but not more than doubled.
    slow = simulated("deepseek-v3", "cluster.fabric.bytes_per_s=25 GB/s").step.step_s
    assert 0.15 < slow / report.step.step_s - 1 < 0.60


def test_without_overlap_all_to_alls_add_to_the_step(report):
    # Computation and communication are about 1 : 1, but alone the network is faster.
    alone = simulated("deepseek-v3@no-overlap").step.step_s
    assert 0.10 < alone / report.step.step_s - 1 < 0.60


def test_twice_the_gpus_are_less_than_twice_as_fast(report):
    # The same batch gives half the micro-batches per replica: the bubble weighs more.
    double = simulated("deepseek-v3", "cluster.num_gpus=4096").step.step_s
    assert report.step.step_s / 2 < double < report.step.step_s


def test_fp8_and_dualpipe_each_save_time(report):
    assert simulated("deepseek-v3@bf16").step.step_s > report.step.step_s
    assert simulated("deepseek-v3@1f1b").step.step_s > report.step.step_s


def test_each_layer_of_constants_adds_time(deepseek, report):
    steps = layers(deepseek)
    assert list(steps) == ["specification", "achievable", "in-situ"]
    assert steps["specification"] < steps["achievable"] < steps["in-situ"]
    assert steps["in-situ"] == pytest.approx(report.step.step_s, rel=1e-9)


def test_the_range_contains_the_estimate_and_the_published_cost(report):
    low, high = report.range["cost_usd"]
    assert low < report.cost_usd < high
    assert low < PUBLISHED["run"]["cost_usd"]["measured"] < high


def test_no_prediction_reads_published_figures(report, monkeypatch):
    opened = []
    open_ = Path.open

    def spied(path, *args, **kwargs):
        opened.append(path)
        return open_(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", spied)
    again = simulated("deepseek-v3")
    assert again.gpu_hours == report.gpu_hours
    assert opened
    assert not [path for path in opened if "validation" in path.parts]
