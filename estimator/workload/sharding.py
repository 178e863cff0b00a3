"""Weights that are sharded over replicas and gathered for each layer (ZeRO-2, FSDP)."""

from __future__ import annotations

from dataclasses import dataclass, field

from estimator.costs.collectives import Group, all_gather_s
from estimator.costs.rates import Device, Links
from estimator.specs.scenario import Scenario
from estimator.workload.stages import Element, Look, held
from estimator.workload.stored import gradient_bytes, sent_bytes, stays_gathered
from estimator.workload.synchronisation import (
    WEIGHTS_OF_LAYER,
    shards,
)

COPIED_OUT = "per-weight"
"""Where a weight is copied out of a gathered buffer."""


@dataclass(frozen=True, eq=False)
class Sharding:
    """Seconds to gather an element's weights and to scatter its gradients."""

    scenario: Scenario
    links: Links
    hbm_bytes_per_s: float
    shared: Group
    experts: Group
    gathers_again: bool
    """ZeRO-3 where weights are freed behind the forward pass."""
    _seconds: dict[tuple[float, Look], float] = field(
        default_factory=dict, init=False, repr=False
    )

    def gather_s(self, element: Element) -> float:
        """Return the seconds of the all-gather of its weights."""
        return self._move(element, self._sent(element))

    def scatter_s(self, element: Element) -> float:
        """Return the seconds of the gradients' reduce-scatter."""
        return self._move(element, gradient_bytes(self.scenario))

    def gather_bytes(self, element: Element) -> float:
        """Return the bytes of the weights that are gathered."""
        return self._sent(element) * self._count(element)

    def scatter_bytes(self, element: Element) -> float:
        """Return the bytes of the gradients that are scattered."""
        return gradient_bytes(self.scenario) * self._count(element)

    def copy_out_s(self, element: Element) -> float:
        """Return the seconds from the gathered buffer to the weights."""
        is_copied = self.scenario.software.storage.shard_buffer == COPIED_OUT
        return self._copied(element, 2 * self._sent(element) * is_copied)

    def copy_in_s(self, element: Element) -> float:
        """Return the seconds from the BF16 gradients to the scattered buffer.

        FSDP2 casts them to the format of the reduction on the way, FSDP1 divides them
        by (a part of) the replicas (PyTorch 2.13, ``fsdp/_fully_shard/
        _fsdp_collectives.py``, ``fsdp/_runtime_utils.py``).
        """
        gradient = gradient_bytes(self.scenario)
        moved = {"per-weight": 2 + gradient, "flat": 4 + 2 * gradient}
        return self._copied(
            element, moved.get(self.scenario.software.storage.shard_buffer, 0)
        )

    def _copied(self, element: Element, bytes_per_weight: float) -> float:
        own = held(self.scenario, element)
        shared = own.shared if self.shared.size > 1 else 0
        experts = own.experts if self.experts.size > 1 else 0
        return (shared + experts) * bytes_per_weight / self.hbm_bytes_per_s

    def num_copies(self, element: Element) -> int:
        """Return the copies that the host launches beside one collective.

        PyTorch's all-gather and reduce-scatter of a list copy each rank's tensor to or
        from a buffer: ``ProcessGroupNCCL::allgather``. Weights go one at a time.
        """
        if self.scenario.software.storage.shard_buffer != "pieces":
            return 0
        num_weights = WEIGHTS_OF_LAYER if element.is_layer else 1
        calls = self.scenario.cluster.node.piece_calls.value
        return round(calls * num_weights * self.shared.size)

    def num_ranks(self, element: Element) -> int:
        """Return the ranks of the collectives that move an element, added up."""
        own = held(self.scenario, element)
        groups = ((own.shared, self.shared), (own.experts, self.experts))
        return sum(members.size for count, members in groups if count)

    def _sent(self, element: Element) -> float:
        return sent_bytes(self.scenario, is_layer=element.is_layer)

    def _count(self, element: Element) -> float:
        own = held(self.scenario, element)
        return own.shared + own.experts

    def _move(self, element: Element, bytes_per_weight: float) -> float:
        key = (bytes_per_weight, element.look)
        if key not in self._seconds:
            own = held(self.scenario, element)
            self._seconds[key] = sum(
                all_gather_s(count * bytes_per_weight, members, self.links)
                for count, members in (
                    (own.shared, self.shared),
                    (own.experts, self.experts),
                )
                if count
            )
        return self._seconds[key]


def sharding(scenario: Scenario, links: Links, device: Device) -> Sharding:
    """Return the sharding of a plan with ``zero`` 2 or 3.

    Parameters
    ----------
    scenario : Scenario
        Its plan, and the precision of its gradients.
    links : Links
        Over which weights and gradients travel.
    device : Device
        Whose memory copies them into and out of buffers.
    """
    groups = shards(scenario)
    return Sharding(
        scenario,
        links,
        device.hbm_bytes_per_s,
        groups.shared,
        groups.experts,
        scenario.plan.zero == 3 and not stays_gathered(scenario),
    )
