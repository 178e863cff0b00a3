"""Every number and statement that an estimate rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from estimator.answer.bill import is_of_another_gpu
from estimator.answer.ranges import MONEY
from estimator.answer.report import Assumption
from estimator.answer.splits import splits
from estimator.answer.step_model import StepModel
from estimator.costs.rates import half_precision
from estimator.specs.base import SET_BY_USER, constants, source_of, status_of
from estimator.specs.hardware import Fabric, Gpu, Node
from estimator.specs.scenario import Scenario
from estimator.specs.software import Software, switch_paths

SOFTWARE = "software"
"""Layer of what the framework does."""
VERBS = {"read": "read", "recalled": "recalled", "assumed": "assumed", "asked": "set"}
"""Status of a switch -> what was done."""


def assumptions(
    scenario: Scenario,
    models: dict[int, StepModel],
    effects: Mapping[str, tuple[float, float]],
    cost_effects: Mapping[str, tuple[float, float]],
) -> list[Assumption]:
    """Return every number and statement that the estimate rests on."""
    return [
        *_specification(scenario),
        *_software(scenario.software),
        *(
            Assumption(
                name=path,
                value=constant.value,
                unit=constant.unit,
                source=constant.source,
                layer=_layer(path),
                low=constant.low,
                high=constant.high,
                status=constant.status,
                step_effect=effects.get(path),
                cost_effect=cost_effects.get(path),
            )
            for path, constant in constants(scenario)
        ),
        *(
            assumed("scenario", said.text, scenario.name)
            for said in scenario.assumptions
        ),
        *_format_assumptions(scenario),
        *_price_assumptions(scenario),
        *(
            Assumption("phases", text, "", "estimator", "scenario", status=status)
            for text, status in splits(scenario, models)
        ),
    ]


def _software(software: Software) -> Iterator[Assumption]:
    """Yield which release runs, how its switches are known, and those that are set."""
    counts = software.num_known
    words = {"read": "in its code or papers", "asked": "over it"}
    known = [
        " ".join(filter(None, (str(counts[each]), verb, words.get(each))))
        for each, verb in VERBS.items()
        if counts[each]
    ]
    name = software.name
    yield Assumption(
        SOFTWARE,
        f"{software.title} ({name}): of {len(switch_paths())} switches "
        f"{', '.join(known)}; estimator show software {name} tells each.",
        "",
        f"software/{name}.yaml",
        SOFTWARE,
        status="assumed" if counts["assumed"] else "read",
    )
    for path, value in software.switches().items():
        if software.status[path] == "asked":
            who = software.sources[path].partition(": ")[2]
            yield Assumption(
                f"{SOFTWARE}.{path}",
                f"{SOFTWARE}.{path} is {_written(value)}: {who}.",
                "",
                software.sources[path],
                SOFTWARE,
                status="set",
            )


def _written(value: object) -> str:
    """Return a switch as a file writes it.

    >>> _written(True), _written(("average", "check")), _written(None)
    ('true', '[average, check]', 'null')
    """
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _specification(scenario: Scenario) -> list[Assumption]:
    node, fabric = scenario.cluster.node, scenario.cluster.fabric
    gpu = node.gpu
    rows: list[tuple[str, float, str, Gpu | Node | Fabric]] = [
        ("cluster.node.gpu.hbm_bytes", gpu.hbm_bytes, "B", gpu),
        ("cluster.node.gpu.hbm_bytes_per_s", gpu.hbm_bytes_per_s, "B/s", gpu),
        *(
            (f"cluster.node.gpu.peak_flop_per_s.{dtype}", peak, "FLOP/s", gpu)
            for dtype, peak in gpu.peak_flop_per_s.items()
            if dtype in (half_precision(gpu), scenario.precision.recipe)
        ),
        ("cluster.node.nvlink_bytes_per_s", node.nvlink_bytes_per_s, "B/s", node),
        ("cluster.node.max_power_watts", node.max_power_watts, "W", node),
        ("cluster.fabric.bytes_per_s", fabric.bytes_per_s, "B/s", fabric),
        ("cluster.fabric.latency_s", fabric.latency_s, "s", fabric),
    ]
    made = []
    for path, value, unit, record in rows:
        kind = "peak_flop_per_s."
        key = path.rpartition(".")[2]
        if kind in path:
            key = kind + key
        source = source_of(record, key)
        status = _status(source)
        if status == "read":
            status = status_of(record, key)
        made.append(
            Assumption(path, value, unit, source, "specification", status=status)
        )
    return [*made, *_prices(scenario)]


def _prices(scenario: Scenario) -> Iterator[Assumption]:
    """Yield what money and carbon are worth; constants stand elsewhere."""
    price, power = scenario.price, scenario.power
    if price.usd_per_gpu_hour is not None:
        yield Assumption(
            "price.usd_per_gpu_hour",
            price.usd_per_gpu_hour,
            "USD/h",
            f"{price.source} ({price.date})",
            "price",
            status=_status(price.source, price.status),
        )
    elif power.usd_per_kwh is not None:
        yield Assumption(
            "power.usd_per_kwh",
            power.usd_per_kwh,
            "USD/kWh",
            f"{power.electricity_source} ({power.electricity_date})",
            "price",
            status=_status(power.electricity_source, power.electricity_status),
        )
    yield Assumption(
        "power.g_co2_per_kwh",
        power.g_co2_per_kwh,
        "g/kWh",
        power.source,
        "price",
        status=_status(power.source, power.status),
    )


def _layer(path: str) -> str:
    """Return the layer of constants that a path belongs to."""
    if path.partition(".")[0] in MONEY:
        return "price"
    return "in-situ" if ".in_situ." in path else "achievable"


def _status(source: str, known: str = "read") -> str:
    return "set" if SET_BY_USER in source else known


def _format_assumptions(scenario: Scenario) -> Iterator[Assumption]:
    """Yield which format stands in for BF16 where the GPU has none."""
    gpu = scenario.cluster.node.gpu
    dtype = half_precision(gpu)
    if dtype != "bf16":
        text = f"{gpu.title} has no BF16: products run in {dtype.upper()}"
        yield assumed("precision", text, gpu.name)


def _price_assumptions(scenario: Scenario) -> Iterator[Assumption]:
    """Yield how a price came to be taken for a GPU that it was not made for."""
    price, gpu = scenario.price, scenario.cluster.node.gpu.name
    text = ""
    if is_of_another_gpu(scenario):
        text = f"the price {price.name} is one of {price.gpu}, taken for {gpu}"
    elif price.instead_of and not price.changed:
        text = (
            f"the price {price.name} is {gpu}'s own; the scenario's "
            f"{price.instead_of} is not of this GPU"
        )
    if text:
        yield assumed("price", text, price.name)


def assumed(name: str, text: str, source: str) -> Assumption:
    """Return a statement that the answer rests on."""
    return Assumption(name, text, "", source, "scenario", status="assumed")
