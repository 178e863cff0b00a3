"""The catalog: every number has a source, a unit and a status, and is plausible."""

import dataclasses
import re
from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import each

from estimator.answer.step_model import StepModel
from estimator.catalog import building, kinds, loading, reading
from estimator.costs.rates import half_precision
from estimator.ground.errors import InfeasibleError, InputError
from estimator.specs.base import Constant, constants, source_of, status_of

STATUSES = {"read", "derived", "recalled", "assumed", "disputed"}
FILES = [
    (kind, name)
    for kind in ("gpu", "node", "fabric", "price", "power", "programme")
    for name in kinds.names(kind)
]
WITH_SOURCES = ("gpu", "node", "fabric")
QUANTITY = re.compile(r"[\d.]+(e[-+]?\d+)? ?[A-Za-zµ][\w/]*")
LABELS = {"name", "title", "date", "electricity_date", "release_date"}
COUNTS = {
    "num_sms",
    "gpus_per_node",
    "scaleup_domain",
    "max_nics",
    "oversubscription",
    "pod_gpus",
    "gpus_per_nic",
    "num_planes",
}
MENTIONS = re.compile(r"(/work|/tmp|hardware\.ya?ml|kernel_benchmarks|shared/)")


@each(("kind", "name"), FILES)
def test_a_file_is_named_after_what_it_holds(kind, name):
    assert loading.load(kind, name).name == name


@each(("kind", "name"), FILES)
def test_every_constant_has_a_source_a_unit_and_a_status(kind, name):
    for path, constant in constants(loading.load(kind, name)):
        assert constant.source.strip(), path
        assert constant.unit, path
        assert constant.status in STATUSES, path
        assert constant.low <= constant.value <= constant.high, path


def plain_numbers(document, path=()):
    """Yield the paths of numbers and quantities outside constants."""
    for key, value in document.items():
        here = (*path, key)
        if isinstance(value, Mapping):
            yield from () if "value" in value else plain_numbers(value, here)
        elif isinstance(value, str) and key not in LABELS:
            yield from [".".join(here)] if QUANTITY.fullmatch(value) else []
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield ".".join(here)


@each(("kind", "name"), [file for file in FILES if file[0] in WITH_SOURCES])
def test_every_plain_number_has_a_source_and_a_status(kind, name):
    record = loading.load(kind, name)
    for key in plain_numbers(reading.read(kind, name)):
        assert source_of(record, key).strip(), key
        assert status_of(record, key) in STATUSES, key
    for listed in (*record.recalled, *record.status, *record.sources):
        owner = record
        for part in listed.split("."):
            if isinstance(owner, Mapping):
                assert part in owner, f"{listed} is not a field"
                owner = owner[part]
            else:
                assert part == "default" or hasattr(owner, part), listed
                owner = getattr(owner, part, None)


@each(("kind", "name"), [file for file in FILES if file[0] not in WITH_SOURCES])
def test_every_price_and_intensity_has_a_source_and_a_status(kind, name):
    record = loading.load(kind, name)
    sources = {"usd_per_kwh": ("electricity_source", "electricity_status")}
    for key in plain_numbers(reading.read(kind, name)):
        source, status = sources.get(key, ("source", "status"))
        assert getattr(record, source).strip(), key
        assert getattr(record, status) in STATUSES, key


def bare_numbers(document, path=()):
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from bare_numbers(value, (*path, key))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*path, key)


@each(("kind", "name"), FILES)
def test_only_counts_and_shares_are_written_without_a_unit(kind, name):
    found = dict(constants(loading.load(kind, name)))
    for path in bare_numbers(reading.read(kind, name)):
        if path[-1] not in COUNTS:
            assert path[-1] in ("value", "low", "high"), path
            assert found[".".join(path[:-1])].unit == "1", path


@each(("kind", "name"), FILES)
def test_sources_are_public(kind, name):
    texts = [constant.source for _, constant in constants(loading.load(kind, name))]
    record = loading.load(kind, name)
    texts += getattr(record, "sources", {}).values()
    texts += [getattr(record, "source", ""), getattr(record, "notes", "")]
    assert not [text for text in texts if MENTIONS.search(text)]


@each("name", kinds.names("gpu"))
def test_a_gpu_is_plausible(name):
    gpu = loading.load("gpu", name)
    assert 10e9 < gpu.hbm_bytes < 600e9
    assert 0.3e12 < gpu.hbm_bytes_per_s < 10e12
    assert gpu.tdp_watts is None or 50 < gpu.tdp_watts < 1500
    assert gpu.die_area_mm2 is None or 400 < gpu.die_area_mm2 < 1600
    half = gpu.peak_flop_per_s.get("bf16", gpu.peak_flop_per_s.get("fp16", 0))
    if half:
        assert 50e12 < half < 3e15
        assert 30 < half / gpu.hbm_bytes_per_s < 1000  # FLOP a byte
    if fp8 := gpu.peak_flop_per_s.get("fp8"):
        assert fp8 / half == pytest.approx(2, rel=0.06) or name == "gaudi3"
    for path, constant in constants(gpu.achievable):
        if constant.unit == "1" and "_half_" not in path:
            assert constant.low > 0.1, path


HOPPER = [name for name in kinds.names("gpu") if name[:2] in ("h1", "h2", "h8", "gh")]


@each("name", HOPPER)
def test_every_hopper_part_knows_the_kernels_from_before_hopper(name):
    older = loading.load("gpu", name).achievable.older_attention
    assert 0.2 < older["flash-1"].value < older["flash-2"].value < 0.7


SHARES = [
    "cluster.node.gpu.achievable.gemm.bf16",
    "cluster.node.gpu.achievable.epilogue",
    "cluster.node.collectives.all_to_all",
    "cluster.fabric.efficiency",
    "power.average_power",
]


@each("path", SHARES)
@settings(max_examples=5)
@given(value=st.floats(1.01, 1e30))
def test_a_share_is_never_more_than_the_whole(path, value):
    with pytest.raises(InputError, match=f"{path}.* is more than 1"):
        loading.load_scenario("deepseek-v3", [f"{path}={value!r}"])


@each(
    "path",
    [
        "cluster.node.gpu.achievable.elementwise",
        "cluster.node.gpu.achievable.gemm.bf16",
        "cluster.node.nvlink_efficiency",
        "cluster.node.collectives.copy_bytes_per_s",
        "cluster.fabric.efficiency",
    ],
)
def test_something_is_left_of_every_rate(path):
    with pytest.raises(InputError, match=f"{path}.* is not positive"):
        loading.load_scenario("gpt3-175b", [f"{path}=0"])


def test_a_facility_draws_at_least_what_its_servers_draw():
    with pytest.raises(InputError, match=r"0\.9 is less than 1,"):
        loading.load_scenario("deepseek-v3", ["power.pue=0.9"])


@each("name", kinds.names("node"))
def test_a_node_is_plausible(name):
    node = loading.load("node", name)
    gpu, per_gpu = node.gpu, node.max_power_watts / node.gpus_per_node
    assert 1 <= node.gpus_per_node <= node.scaleup_gpus <= 10_000
    assert gpu.tdp_watts is None or gpu.tdp_watts <= per_gpu < 3 * gpu.tdp_watts + 200
    assert 30e9 <= node.nvlink_bytes_per_s <= 1800e9
    assert 0.2 < node.nvlink_efficiency.value <= 1
    io = gpu.scaleup_io_bytes_per_s
    if io and node.topology != "torus":  # one way is half of both directions
        assert node.nvlink_bytes_per_s == pytest.approx(io / 2, rel=0.01)


@each("name", kinds.names("fabric"))
def test_a_fabric_is_plausible(name):
    fabric = loading.load("fabric", name)
    assert 1e9 < fabric.bytes_per_s <= 1e12
    assert 0.5e-6 < fabric.latency_s < 1e-3
    assert 0.2 < fabric.dispatch_efficiency.value < fabric.efficiency.high + 0.2
    port = fabric.bytes_per_s * fabric.gpus_per_nic * 8 / 1e9  # Gbit/s
    assert port in (50, 100, 200, 400, 800) or name in (
        "nvl72-scale-up",
        "tpu-v5p-ici-torus",
    )
    if fabric.collective_efficiency:
        assert fabric.collective_efficiency.value >= fabric.efficiency.value


@each("name", kinds.names("price"))
def test_a_price_is_dated_and_buys_a_known_gpu(name):
    price = loading.load("price", name)
    year, *rest = (int(part) for part in price.date.split("-"))
    assert date(year, *[*rest, 1, 1][:2]) >= date(2022, 1, 1)
    assert price.gpu in kinds.names("gpu")
    assert price.source
    assert price.provider
    assert price.commitment
    if price.basis == "rental":
        assert 0.3 < price.usd_per_gpu_hour < 15
        return
    owned = price.owned
    assert owned.server_usd.low > 5e3
    assert owned.server_usd.high < 100e3
    assert 1 < owned.server_per_gpu.value < 3
    assert 0.05 < owned.network_share.low < owned.network_share.high < 0.4
    assert 1 / 8 < owned.amortised_per_year.low < owned.amortised_per_year.high < 1
    assert 0.3 < owned.utilisation.low <= owned.utilisation.high <= 1
    assert 50 < owned.colocation.low < owned.colocation.high < 500


@each("name", kinds.names("programme"))
def test_a_programme_is_plausible(name):
    made = loading.load("programme", name)
    assert 1 <= made.compute_factor.low < made.compute_factor.high < 10
    assert 1 < made.num_contributors.low < made.num_contributors.high < 5000
    assert 0 < made.fte_per_contributor.low < made.fte_per_contributor.high <= 1
    assert 0.1 < made.years.low < made.years.high < 5
    assert 20e3 < made.compensation.low < made.compensation.high < 2e6
    assert 1 < made.staff_overhead.low < made.staff_overhead.high < 2
    assert 0.001 < made.storage.low < made.storage.high < 0.1
    assert 0 <= made.egress.low < made.egress.high < 0.5


@each("name", kinds.names("power"))
def test_a_place_is_plausible(name):
    power = loading.load("power", name)
    assert 20 < power.g_co2_per_kwh < 800
    assert 1 <= power.pue.low < power.pue.high < 2
    assert 0.3 < power.average_power.low < power.average_power.high <= 1
    assert power.source
    assert power.date
    if power.usd_per_kwh is not None:
        assert 0.02 < power.usd_per_kwh < 0.5
        assert power.electricity_source
        assert power.electricity_date


def test_the_shelf_is_full():
    counts = {kind: len(kinds.names(kind)) for kind in ("gpu", "node", "price")}
    assert counts["gpu"] >= 30
    assert counts["node"] >= 13
    assert counts["price"] >= 25
    with_price = [
        name for name in kinds.names("power") if loading.load("power", name).usd_per_kwh
    ]
    assert len(with_price) >= 12


def test_the_h800_is_an_h100_where_it_was_not_cut():
    whole, cut = loading.load("gpu", "h100-sxm"), loading.load("gpu", "h800-sxm")
    changed = {
        field.name
        for field in dataclasses.fields(whole)
        if getattr(whole, field.name) != getattr(cut, field.name)
    }
    labels = {"name", "title", "sources", "notes", "release_date"}
    assert changed - labels == {"peak_flop_per_s", "scaleup_io_bytes_per_s"}
    differing = {
        dtype
        for dtype, peak in whole.peak_flop_per_s.items()
        if cut.peak_flop_per_s[dtype] != peak
    }
    assert differing == {"fp64"}


def test_carried_over_constants_say_so_and_are_wide():
    for name in kinds.names("gpu"):
        for path, constant in constants(loading.load("gpu", name)):
            text = constant.source
            if "carried over" in text or text.startswith("not measured"):
                assert constant.status == "assumed", (name, path)
                assert is_wide(constant), (name, path)


def is_wide(constant: Constant) -> bool:
    return constant.high - constant.low >= 0.08 * constant.value


def misfit(kind, name, **changed):
    document = reading.read(kind, name)
    for key, value in changed.items():
        document.put(key, value, "here")
    with pytest.raises(InputError) as raised:
        building.build(kind, reading.inlined(kind, document), name)
    return str(raised.value)


def test_a_node_that_contradicts_itself_is_refused():
    assert "needs the chips along each axis" in misfit(
        "node", "hgx-h100", topology="torus"
    )
    assert "a PCIe node needs it" in misfit("node", "hgx-h100", topology="pcie")
    assert "4 GPUs are fewer than the 8" in misfit("node", "hgx-h100", scaleup_domain=4)


def test_a_rate_without_a_peak_is_refused():
    peaks = reading.read("gpu", "h100-sxm")["peak_flop_per_s"]
    del peaks["bf16"]
    assert "bf16 has no peak" in misfit("gpu", "h100-sxm", peak_flop_per_s=peaks)


def test_a_part_without_bf16_trains_in_fp16():
    assert half_precision(loading.load("gpu", "v100-sxm2-32")) == "fp16"
    overrides = ["cluster.node=dgx1-v100", "precision=bf16"]
    model = StepModel(loading.load_scenario("deepseek-v3", overrides), 4096)
    assert model.step_s(32) > 0


def test_a_part_without_a_16_bit_rate_is_refused_in_one_sentence():
    with pytest.raises(InfeasibleError, match="has no BF16 and no FP16 rate"):
        half_precision(loading.load("gpu", "apple-m4-max"))
