"""GPU-hours to dollars, joules and carbon, on the basis that a scenario names.

A rental pays a price per GPU-hour. An owner pays for accelerators, servers, network,
building and energy. A full programme pays, on either basis, for experiments, people and
data as well. Constants may be lanes.
"""

from __future__ import annotations

from typing import NamedTuple

from estimator.costs.money import (
    amortised_usd_per_hour,
    colocation_usd_per_hour,
    network_usd,
    staff_usd,
    switch_layers,
    value_after,
)
from estimator.costs.params import params
from estimator.ground.errors import InputError
from estimator.ground.units import HOUR_S, KWH_JOULES
from estimator.specs.base import SET_BY_USER
from estimator.specs.economics import Ownership, Programme
from estimator.specs.scenario import Scenario

GB = 1e9
RENT = "usd_per_gpu_hour"
NOT_COUNTED = {
    "rental": "research and ablations, failed runs, staff, data, storage, idle time",
    "owned": (
        "research and ablations, failed runs, staff, data, storage; repairs, spares "
        "and operators of the cluster, finance and tax, idle time beyond its share"
    ),
    "programme": (
        "what data and licences cost to acquire, offices, inference and sales, finance "
        "and tax; experiments are a factor on computation, no plan of their own"
    ),
}


def basis(scenario: Scenario) -> str:
    """Return ``rental``, ``owned`` or ``programme``."""
    return "programme" if scenario.programme else scenario.price.basis


def basis_title(scenario: Scenario) -> str:
    """Return the basis in words."""
    verb = {"rental": "rented", "owned": "owned"}[scenario.price.basis]
    hours = f"{verb} GPUs ({price_title(scenario)})"
    if scenario.programme:
        return f"full programme ({scenario.programme.name}) on {hours}"
    return hours


def price_title(scenario: Scenario) -> str:
    """Return what an hour is paid by: a dated price, or a number that was set.

    A price that was taken instead of another one says so, and one of another GPU, too.
    """
    price = scenario.price
    if RENT in price.changed:
        return f"{price.usd_per_gpu_hour or 0.0:.4g} USD/h, {SET_BY_USER}"
    words = [price.name, price.date]
    if price.changed:
        words.append(f"{' and '.join(price.changed)} {SET_BY_USER}")
    if is_of_another_gpu(scenario):
        words.append(f"a price of {price.gpu}")
    elif price.instead_of:
        words.append(f"instead of {price.instead_of}")
    return ", ".join(words)


def is_of_another_gpu(scenario: Scenario) -> bool:
    """Whether a price is taken for another GPU than the one that it is of."""
    price = scenario.price
    is_another = price.gpu not in ("", scenario.cluster.node.gpu.name)
    return is_another and RENT not in price.changed


def compute_usd(scenario: Scenario, gpu_hours: float) -> dict[str, float]:
    """Return what GPU-hours cost, by part.

    Raises
    ------
    InputError
        If an owner's electricity has no price.
    """
    price = scenario.price
    if price.owned is None:
        rent = (price.usd_per_gpu_hour or 0.0) * gpu_hours
        return {"gpu_usd": rent, "energy_usd": 0.0, "network_usd": 0.0}
    made = {
        name: usd * gpu_hours
        for name, usd in _owned_hour(scenario, price.owned).items()
    }
    return made | {"energy_usd": _electricity_usd(scenario, gpu_hours)}


def _owned_hour(scenario: Scenario, owned: Ownership) -> dict[str, float]:
    """Return dollars for one hour in use of one GPU, energy apart."""
    rate, in_use = owned.amortised_per_year.value, owned.utilisation.value
    value = value_after(owned.server_usd.value, rate, owned.years_before.value)
    server = amortised_usd_per_hour(value, rate, in_use)
    gpu = server / owned.server_per_gpu.value
    network = network_usd(server, owned.network_share.value)
    cluster = scenario.cluster
    if switch_layers(cluster.num_gpus / cluster.fabric.num_planes) > 2:
        network *= owned.third_layer.value
    return {
        "gpu_usd": gpu,
        "server_usd": server - gpu,
        "network_usd": network,
        "colocation_usd": colocation_usd_per_hour(
            _watts(scenario), owned.colocation.value, in_use
        ),
    }


def _electricity_usd(scenario: Scenario, gpu_hours: float) -> float:
    power = scenario.power
    if power.usd_per_kwh is None:
        raise InputError(
            f"no electricity price was read for {power.title}",
            why="an owned cluster pays for its energy",
            fix="power.usd_per_kwh=0.08, or power=china",
        )
    return energy_joules(scenario, gpu_hours) / KWH_JOULES * power.usd_per_kwh


def bill(scenario: Scenario, gpu_hours: float) -> dict[str, float]:
    """Return the whole cost by part; the parts are the whole.

    Raises
    ------
    InputError
        If an owner's electricity has no price.
    """
    parts = compute_usd(scenario, gpu_hours)
    if scenario.programme is None:
        return parts
    return parts | _around(scenario, scenario.programme, total(parts))


def total(parts: dict[str, float]) -> float:
    """Return the sum of a bill."""
    return sum(parts.values())


def _around(scenario: Scenario, made: Programme, run_usd: float) -> dict[str, float]:
    """Return what a programme pays beside the final run."""
    num_tokens = sum(phase.num_tokens or 0.0 for phase in scenario.phases)
    kept_bytes = num_tokens * made.data_bytes_per_token.value + (
        made.num_checkpoints.value
        * made.checkpoint_bytes_per_param.value
        * params(scenario.model).total
    )
    months = made.years.value * 12
    return {
        "experiments_usd": run_usd * (made.compute_factor.value - 1),
        "staff_usd": staff_usd(
            made.num_contributors.value,
            made.fte_per_contributor.value,
            made.years.value,
            made.compensation.value,
            made.staff_overhead.value,
        ),
        "storage_usd": kept_bytes / GB * made.storage.value * months,
        "egress_usd": kept_bytes / GB * made.egress.value,
    }


class Bill(NamedTuple):
    """What so many GPU-hours cost, take and emit."""

    cost: dict[str, float]
    """Dollars by part."""
    cost_usd: float
    """Of all parts."""
    energy_joules: float
    co2_kg: float

    def numbers(self) -> dict[str, float]:
        """Return the three totals by name."""
        return {
            "cost_usd": self.cost_usd,
            "energy_joules": self.energy_joules,
            "co2_kg": self.co2_kg,
        }


def outcome(scenario: Scenario, gpu_hours: float) -> Bill:
    """Return dollars, joules and carbon of so many GPU-hours.

    Raises
    ------
    InputError
        If an owner's electricity has no price.
    """
    joules = energy_joules(scenario, gpu_hours)
    cost = bill(scenario, gpu_hours)
    return Bill(cost, total(cost), joules, co2_kg(scenario, joules))


def energy_joules(scenario: Scenario, gpu_hours: float) -> float:
    """Return the facility's energy over so many GPU-hours.

    Servers at their average share of maximum power, times the facility's PUE.
    """
    power = scenario.power
    watts = _watts(scenario) * power.average_power.value * power.pue.value
    return watts * gpu_hours * HOUR_S


def co2_kg(scenario: Scenario, joules: float) -> float:
    """Return the carbon dioxide of an amount of energy, at the place's intensity."""
    return joules / KWH_JOULES * scenario.power.g_co2_per_kwh / 1000


def _watts(scenario: Scenario) -> float:
    """Return a GPU's share of its server's maximum power."""
    node = scenario.cluster.node
    return node.max_power_watts / node.gpus_per_node
