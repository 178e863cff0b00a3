"""What hardware, energy and people cost: pure functions of numbers.

The cost of owning is the formula of Epoch AI: "The rising costs of training frontier AI
models", arXiv 2405.21015, as its code has it (epoch-research/training-cost-trends,
commit 263c40a), extended by the rent of the building and by idle hours.
"""

from __future__ import annotations

import math

from estimator.ground.units import MONTH_H, YEAR_H


def value_after(price_usd: float, per_year: float, years: float) -> float:
    """Return what hardware is worth some years after it was bought.

    Parameters
    ----------
    price_usd : float
        When it was bought, USD.
    per_year : float
        Rate of decline, 1/year; 0.322 is Epoch's 0.14 orders of magnitude a year, the
        trend of price per operation: ``10**(-0.14 t) = exp(-0.322 t)``.
    years : float
        Since then; negative ones lie before it.

    Notes
    -----
    ``price exp(-per_year years)``. Source: Epoch AI, as the module names it.

    Examples
    --------
    >>> round(value_after(10_000.0, 0.14 * math.log(10), 1.0))
    7244
    """
    left: float = math.e ** (-per_year * years)
    return price_usd * left


def amortised_usd_per_hour(
    value_usd: float, per_year: float, utilisation: float = 1.0
) -> float:
    """Return what an hour in use takes of the value of hardware.

    Parameters
    ----------
    value_usd : float
        What the hardware is worth when the run begins, USD.
    per_year : float
        Rate of decline, 1/year.
    utilisation : float
        Share of the hours in which it is in use, above 0 up to 1.

    Notes
    -----
    ``value per_year / 8766 h / utilisation``. Epoch amortises at the rate of decline,
    which is when replacement pays, and counts no idle hours: a utilisation of 1. Range:
    runs much shorter than ``1 / per_year``.

    Examples
    --------
    >>> round(amortised_usd_per_hour(33_810.0, 0.14 * math.log(10)), 3)
    1.243
    """
    return value_usd * per_year / YEAR_H / utilisation


def network_usd(servers_usd: float, network_share: float) -> float:
    """Return what the network costs that takes a share of the whole cluster.

    Parameters
    ----------
    servers_usd : float
        All servers, USD.
    network_share : float
        Of servers and network together, from 0 to below 1; Epoch AI: 0.19.

    Notes
    -----
    ``servers share / (1 - share)``.

    Examples
    --------
    >>> round(network_usd(81.0, 0.19), 3)
    19.0
    """
    return servers_usd * network_share / (1 - network_share)


def switch_layers(num_endpoints: float, num_ports: int = 64) -> int:
    """Return the layers of switches of a non-blocking fat tree, two or three.

    Parameters
    ----------
    num_endpoints : float
        Ports of NICs in one plane.
    num_ports : int
        Of a switch.

    Notes
    -----
    Two layers of p-port switches reach p squared over 2 endpoints: 2,048 with 64 ports;
    eight separate planes, one for each GPU of a node, reach 16,384 so (arXiv
    2505.09343, section 5). Range: up to p cubed over 4 endpoints, a third layer's.

    Examples
    --------
    >>> switch_layers(2048), switch_layers(16384), switch_layers(16384 / 8)
    (2, 3, 2)
    """
    return 2 if num_endpoints <= num_ports**2 / 2 else 3


def colocation_usd_per_hour(
    watts: float, usd_per_kw_month: float, utilisation: float = 1.0
) -> float:
    """Return the rent of power and space for one hour in use.

    Parameters
    ----------
    watts : float
        Of what is rented for, W.
    usd_per_kw_month : float
        Rent, USD for each kW and month.
    utilisation : float
        Share of the hours in use, above 0 up to 1.

    Notes
    -----
    ``watts / 1000 rent / 730.5 h / utilisation``: the rent is due in idle hours, too.

    Examples
    --------
    >>> round(colocation_usd_per_hour(1275.0, 184.06), 3)
    0.321
    """
    return watts / 1000 * usd_per_kw_month / MONTH_H / utilisation


def staff_usd(
    num_contributors: float,
    fte_per_contributor: float,
    years: float,
    usd_per_year: float,
    overhead: float,
) -> float:
    """Return what the people of a project cost their employer.

    Parameters
    ----------
    num_contributors : float
        People named.
    fte_per_contributor : float
        Share of a full position that each gave, 0 to 1.
    years : float
        Of the project.
    usd_per_year : float
        A full position's pay, USD.
    overhead : float
        What the employer pays over the pay, 1 and more.

    Notes
    -----
    The product of all five: Epoch AI, as the module names it.

    Examples
    --------
    GPT-4's 284 contributors over a year; Epoch AI: 35 million, 27 to 44.

    >>> round(staff_usd(284, 0.285, 1.0, 330e3, 1.32) / 1e6, 1)
    35.3
    """
    return num_contributors * fte_per_contributor * years * usd_per_year * overhead
