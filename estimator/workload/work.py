"""Kernels, and the sizes that one rank's share of a layer has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from estimator.costs import kernels
from estimator.costs.all_to_all import Spread, spread
from estimator.costs.rates import Device
from estimator.specs.model import Transformer
from estimator.specs.scenario import Scenario

Segment = tuple["Kernel", ...]
"""Kernels that run one after the other on the compute stream."""


class Gemm(NamedTuple):
    """A matrix product ``(m, k) @ (k, n)``, or several in one kernel."""

    name: str
    m: int
    n: int
    k: int
    dtype: str
    num_groups: int = 1
    output_bytes: int = 2
    is_weight_gradient: bool = False

    @property
    def kind(self) -> str:
        """What its time is booked under."""
        return "gemm"

    @property
    def flop(self) -> float:
        """FLOP of all groups."""
        return 2.0 * self.m * self.n * self.k * self.num_groups

    @property
    def num_bytes(self) -> float:
        """Operands and output, moved once."""
        return kernels.gemm_bytes(
            self.m,
            self.n,
            self.k,
            self.dtype,
            num_groups=self.num_groups,
            output_bytes=self.output_bytes,
        )

    def seconds(self, device: Device, num_sms: int) -> float:
        """Return the duration on ``num_sms`` SMs."""
        return kernels.gemm_s(
            device,
            self.m,
            self.n,
            self.k,
            self.dtype,
            num_groups=self.num_groups,
            num_sms=num_sms,
            output_bytes=self.output_bytes,
            is_weight_gradient=self.is_weight_gradient,
        )


class AttentionCore(NamedTuple):
    """Scores, softmax and weighted values of one layer, in one fused kernel."""

    name: str
    flop: float
    seq_len: int
    num_bytes: float
    is_backward: bool = False

    @property
    def kind(self) -> str:
        """What its time is booked under."""
        return "attention"

    def seconds(self, device: Device, num_sms: int) -> float:
        """Return the duration; it does not depend on the SMs (see ``attention_s``)."""
        del num_sms
        return kernels.attention_s(
            device, self.flop, self.seq_len, is_backward=self.is_backward
        )


class Traffic(NamedTuple):
    """Memory-bound kernels: norms, casts, activations, permutations."""

    name: str
    num_bytes: float
    num_kernels: int = 1

    @property
    def kind(self) -> str:
        """What its time is booked under."""
        return "element-wise"

    @property
    def flop(self) -> float:
        """No FLOP that count."""
        return 0.0

    def seconds(self, device: Device, num_sms: int) -> float:
        """Return the duration; bandwidth does not depend on a few SMs."""
        del num_sms
        return kernels.elementwise_s(device, self.num_bytes, self.num_kernels)


Kernel = Gemm | AttentionCore | Traffic


@dataclass(frozen=True)
class Sizes:
    """One rank's share of a micro-batch, and how it is computed."""

    model: Transformer
    seq_len: int
    num_sequences: int
    tp: int
    ep: int
    num_nodes: int
    """Nodes that an expert group covers."""
    linear: str
    """Number format of linear layers."""
    recompute: frozenset[str]
    expert_imbalance: float
    places: Spread | None

    @property
    def tokens(self) -> int:
        """Tokens of a micro-batch."""
        return self.seq_len * self.num_sequences

    @property
    def split_tokens(self) -> int:
        """Tokens of a rank outside tensor-parallel blocks (sequence parallelism)."""
        return -(-self.tokens // self.tp)

    @property
    def heads(self) -> int:
        """Query heads of a rank."""
        return self.model.attention.num_heads // self.tp

    @property
    def kv_heads(self) -> int:
        """KV heads of a rank; they are copied where there are fewer than ranks."""
        return max(1, self.model.attention.kv_heads // self.tp)

    @property
    def is_fp8(self) -> bool:
        """Whether linear layers run in FP8, casts included."""
        return self.linear == "fp8"

    @property
    def routed_rows(self) -> int:
        """Rows that the busiest rank's experts multiply."""
        assert self.model.moe  # noqa: S101 - asked of MoE layers only
        rows = self.split_tokens * self.model.moe.experts_per_token
        return round(rows * self.expert_imbalance)

    @property
    def received_rows(self) -> int:
        """Rows that arrive there: a token counts once for each rank it visits."""
        assert self.model.moe  # noqa: S101 - asked of MoE layers only
        assert self.places  # noqa: S101
        per_token = min(self.places.ranks, float(self.model.moe.experts_per_token))
        return round(self.split_tokens * per_token * self.expert_imbalance)


def sizes(scenario: Scenario, seq_len: int) -> Sizes:
    """Return the sizes of one rank's work in a phase with this sequence length."""
    model, plan = scenario.model, scenario.plan
    per_node = scenario.cluster.node.scaleup_gpus
    num_nodes = max(1, -(-plan.ep // per_node))
    places = None
    if model.moe:
        places = spread(
            model.moe.num_experts,
            model.moe.experts_per_token,
            num_nodes,
            plan.ep,
            model.moe.num_expert_groups,
            model.moe.groups_per_token,
        )
    return Sizes(
        model=model,
        seq_len=seq_len,
        num_sequences=plan.micro_batch_size,
        tp=plan.tp,
        ep=plan.ep,
        num_nodes=num_nodes,
        linear=scenario.precision.recipe,
        recompute=frozenset(scenario.recompute),
        expert_imbalance=plan.expert_imbalance,
        places=places,
    )
