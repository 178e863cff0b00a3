"""Kernels, and the sizes that one rank's share of a layer has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from estimator.costs import kernels
from estimator.costs.all_to_all import Spread, spread
from estimator.costs.attention import attention_s
from estimator.costs.formats import FORMATS, Format
from estimator.costs.rates import Device
from estimator.specs.model import Moe, Transformer
from estimator.specs.scenario import Scenario
from estimator.specs.software import Software
from estimator.specs.training import ParallelPlan
from estimator.workload.causes import Cause
from estimator.workload.stored import addition_bytes

ACCUMULATE = 8
"""FP32 weight gradient: read and written."""
GRADIENT_KERNELS = 4
"""Launched for a weight's gradient: the product, its addition to what is accumulated,
and both for the bias or norm beside it."""

ADD = 6
"""Bytes per element of a sum of two tensors: both read, the sum written."""

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
    num_kernels: int = 1
    """Kernels launched, small ones that come with it included."""
    is_forward: bool = False
    """Its weight lies ``(n, k)`` in memory."""

    @property
    def cause(self) -> Cause:
        """What its time is booked under."""
        return Cause.GEMM

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
            (self.m, self.n, self.k),
            self.dtype,
            num_groups=self.num_groups,
            num_sms=num_sms,
            output_bytes=self.output_bytes,
            is_weight_gradient=self.is_weight_gradient,
            is_transposed=self.is_forward,
        )


linear = partial(Gemm, is_forward=True)
"""Makes the product with a weight in a forward pass."""


def weight_product(
    size: Sizes,
    name: str,
    m: int,
    n: int,
    k: int,
    dtype: str,
    *,
    num_kernels: int = GRADIENT_KERNELS,
) -> Segment:
    """Return what adds a weight's gradient, ``(m, n)``, over k tokens."""
    added = size.gradient_addition
    product = Gemm(
        name,
        m,
        n,
        k,
        dtype,
        output_bytes=2 if added else ACCUMULATE,
        is_weight_gradient=True,
        num_kernels=num_kernels - bool(added),
    )
    if not added:
        return (product,)
    return (product, Traffic(f"add {name}", float(m) * n * added, pattern="plain"))


class AttentionCore(NamedTuple):
    """Scores, softmax and weighted values of one layer, in one fused kernel."""

    name: str
    flop: float
    seq_len: int
    num_rows: int
    """Heads times tokens on this rank."""
    num_bytes: float
    is_backward: bool = False
    kernel: str = "fused"
    is_wide: bool = False
    """Whether keys are wider than values."""
    is_full: bool = False
    """Whether each row meets ``seq_len`` keys: no mask."""

    @property
    def num_kernels(self) -> int:
        """Kernels launched."""
        return 1

    @property
    def cause(self) -> Cause:
        """What its time is booked under."""
        return Cause.ATTENTION

    def seconds(self, device: Device, num_sms: int) -> float:
        """Return the duration; it does not depend on the SMs (see ``attention_s``)."""
        del num_sms
        return attention_s(
            device,
            self.flop,
            self.seq_len,
            self.num_rows,
            is_backward=self.is_backward,
            is_wide=self.is_wide,
            is_full=self.is_full,
            kernel=self.kernel,
        )


class Traffic(NamedTuple):
    """Memory-bound kernels: norms, casts, activations, permutations."""

    name: str
    num_bytes: float
    num_kernels: int = 1
    pattern: kernels.Pattern = "fused"

    @property
    def cause(self) -> Cause:
        """What its time is booked under."""
        return Cause.ELEMENTWISE

    @property
    def flop(self) -> float:
        """No FLOP that count."""
        return 0.0

    def seconds(self, device: Device, num_sms: int) -> float:
        """Return the duration; bandwidth does not depend on a few SMs."""
        del num_sms
        return kernels.elementwise_s(
            device, self.num_bytes, self.num_kernels, self.pattern
        )


def casts(name: str, num_bytes: float, num_kernels: int = 0) -> tuple[Traffic, ...]:
    """Return what writes rows in 8 or 4 bits, if a recipe does.

    Launches may be counted with the kernels before.
    """
    return (Traffic(name, num_bytes, num_kernels, "cast"),) if num_bytes else ()


class Softmax(NamedTuple):
    """A masked softmax in one kernel, and what goes over its scores beside it."""

    name: str
    num_scores: float
    bytes_per_score: int
    """That all of it moves."""
    bytes_beside: int
    """Of these, what others than the softmax do."""
    num_kernels: int
    flop: float = 0.0

    @property
    def cause(self) -> Cause:
        """What its time is booked under."""
        return Cause.ELEMENTWISE

    @property
    def num_bytes(self) -> float:
        """Bytes that are moved."""
        return self.num_scores * self.bytes_per_score

    def seconds(self, device: Device, num_sms: int) -> float:
        """Return the duration, which does not depend on a few SMs."""
        del num_sms
        worth = self.num_scores * (device.softmax_bytes + self.bytes_beside)
        return kernels.elementwise_s(device, worth, self.num_kernels)


class TopK(NamedTuple):
    """The largest scores of each row, chosen several times."""

    name: str
    num_rows: int
    width: int
    num_chosen: int
    num_kernels: int
    flop: float = 0.0

    @property
    def cause(self) -> Cause:
        """What its time is booked under."""
        return Cause.ELEMENTWISE

    @property
    def num_bytes(self) -> float:
        """FP32 scores, read once by each kernel."""
        return 4.0 * self.num_rows * self.width * self.num_kernels

    def seconds(self, device: Device, num_sms: int) -> float:
        """Return the duration; it does not depend on a few SMs."""
        del num_sms
        each_s = kernels.top_k_s(device, self.num_rows, self.width, self.num_chosen)
        return self.num_kernels * each_s


class HostCalls(NamedTuple):
    """Calls that cost the host as much as a launch and the GPU nothing."""

    name: str
    num_kernels: int
    """Launches that they are worth."""
    flop: float = 0.0
    num_bytes: float = 0.0

    @property
    def cause(self) -> Cause:
        """What its time is booked under: it has none."""
        return Cause.ELEMENTWISE

    def seconds(self, device: Device, num_sms: int) -> float:
        """Return nothing: the GPU does not know of it."""
        del device, num_sms
        return 0.0


DROPOUT_STATES = HostCalls("random states of dropout", 4)
"""Megatron-LM draws attention dropout from a generator of each rank's own: both states
are read and set around it (NVIDIA/Megatron-LM, ``tensor_parallel/random.py``)."""
CHECKPOINT_STATES = HostCalls("random states of recomputation", 8)
"""What is recomputed draws what it drew before: the states of the CPU's and the GPU's
generator are kept, and on the way back kept, set and set back (the same file, and
``torch.utils.checkpoint``)."""

Kernel = Gemm | AttentionCore | Traffic | Softmax | TopK | HostCalls


@dataclass(frozen=True)
class Sizes:
    """One rank's share of a micro-batch, and how it is computed."""

    model: Transformer
    plan: ParallelPlan
    software: Software
    seq_len: int
    num_nodes: int
    """Nodes that an expert group covers."""
    format: Format
    keeps_12_bits: bool
    """Whether attention's output is stored in E5M6."""
    recompute: frozenset[str]
    places: Spread | None
    gradient_addition: int
    """Bytes per weight of a kernel that adds its gradient; 0 where products do that."""
    drops_last: bool
    """Whether a repeated block goes without its last product."""

    @property
    def is_local(self) -> bool:
        """Whether layers are Megatron-LM's own."""
        return self.software.kernels.library == "local"

    @property
    def tokens(self) -> int:
        """Tokens of a micro-batch on one context-parallel rank."""
        return -(-self.seq_len * self.plan.micro_batch_size // self.plan.cp)

    @property
    def split_tokens(self) -> int:
        """Tokens of a rank outside tensor-parallel blocks (sequence parallelism)."""
        split = self.tp if self.plan.sequence_parallel else 1
        return -(-self.tokens // split)

    @property
    def tp(self) -> int:
        """Tensor-parallel ranks."""
        return self.plan.tp

    @property
    def heads(self) -> int:
        """Query heads of a rank."""
        return self.model.attention.num_heads // self.tp

    @property
    def kv_heads(self) -> int:
        """KV heads of a rank; they are copied where there are fewer than ranks."""
        return max(1, self.model.attention.kv_heads // self.tp)

    @property
    def read_kv_heads(self) -> int:
        """Those that attention reads, copied for each head or not."""
        return self.heads if self.software.kernels.repeats_kv else self.kv_heads

    @property
    def local_experts(self) -> int:
        """Routed experts of a rank."""
        return self.moe.num_experts // self.plan.ep

    @property
    def moe(self) -> Moe:
        """The experts of a model that has some."""
        assert self.model.moe  # noqa: S101 - asked of MoE layers only
        return self.model.moe

    @property
    def expert_tokens(self) -> int:
        """Tokens that a rank routes: its share of the sequence."""
        return -(-self.tokens // self.tp)

    @property
    def routed_rows(self) -> int:
        """Rows that the busiest rank's experts multiply.

        Those of its peers in an expert-tensor-parallel group are among them.
        """
        rows = self.expert_tokens * self.moe.experts_per_token * self.plan.etp
        return round(rows * self.plan.busiest)

    @property
    def received_rows(self) -> int:
        """Rows that arrive there: a token counts once for each rank it visits."""
        per_token = float(self.moe.experts_per_token)
        if self.places and self.software.experts.dispatch == "deduplicated":
            per_token = min(self.places.ranks, per_token)
        return round(self.expert_tokens * per_token * self.plan.busiest)


def sizes(scenario: Scenario, seq_len: int) -> Sizes:
    """Return the sizes of one rank's work in a phase with this sequence length."""
    model, plan, software = scenario.model, scenario.plan, scenario.software
    domain = scenario.cluster.node.scaleup_gpus
    members = plan.degrees.expert_width
    num_nodes = max(1, min(members, -(-members * scenario.spacing // domain)))
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
        plan=plan,
        software=software,
        seq_len=seq_len,
        num_nodes=num_nodes,
        format=FORMATS[scenario.precision.recipe],
        keeps_12_bits=software.kernels.keeps_12_bits
        and scenario.precision.recipe == "fp8",
        recompute=frozenset(scenario.recompute),
        places=places,
        gradient_addition=addition_bytes(scenario),
        drops_last=software.kernels.early_stop
        or software.kernels.launch == "graph"
        or scenario.cluster.node.dispatch_s is None,
    )
