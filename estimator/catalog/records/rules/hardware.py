"""The nodes and fabrics that records name: tables, no code."""

from __future__ import annotations

from collections.abc import Mapping

NODES: Mapping[str, tuple[str, str]] = {
    "a100": ("hgx-a100", ""),
    "a10040gb": ("hgx-a100-40", ""),
    "a800": ("hgx-a800", ""),
    "ascend910c": ("cloudmatrix-384", ""),
    "b200": ("hgx-b200", ""),
    "b300": ("hgx-b300", ""),
    "gaudi2": ("gaudi2-x8", ""),
    "gaudi3": ("gaudi3-x8", ""),
    "gb200": ("gb200-nvl72", ""),
    "gb300": ("gb300-nvl72", ""),
    "gh200": ("gh200-node", ""),
    "h100": ("hgx-h100", ""),
    "h10095gb500w": ("hgx-h100-96gb-500w", ""),
    "h10096gb500w": ("hgx-h100-96gb-500w", ""),
    "h100nvl": ("h100-pcie-x8", "h100-nvl"),
    "h100pcie": ("h100-pcie-x8", ""),
    "h20": ("hgx-h20", ""),
    "h200": ("hgx-h200", ""),
    "h800": ("hgx-h800", ""),
    "l40s": ("l40s-pcie-x8", ""),
    "mi250x": ("mi250x-x8", ""),
    "mi300x": ("mi300x-x8", ""),
    "mi325x": ("mi325x-x8", ""),
    "mi350x": ("mi355x-x8", "mi350x"),
    "mi355x": ("mi355x-x8", ""),
    "rtx4090": ("rtx4090-pcie-x8", ""),
    "rtx5090": ("rtx5090-pcie-x8", ""),
    "tpuironwood": ("tpu-ironwood-pod", ""),
    "tpuv4": ("tpu-v4-pod", ""),
    "tpuv5e": ("tpu-v5e-pod", ""),
    "tpuv5p": ("tpu-v5p-pod", ""),
    "tpuv6e": ("tpu-v6e-pod", ""),
    "trainium2": ("trn2-48xl", ""),
    "v100": ("dgx1-v100", ""),
}
"""Accelerator, letters and digits only -> node, and the GPU that replaces the node's.

A record's text belongs to the longest key that it begins with, so ``H200-141GB`` is an
H200, ``A100-80GB`` an A100 and ``H100-96GB-500W`` a part of its own."""

MAKERS = (
    "nvidia",
    "amd",
    "intel",
    "google",
    "aws",
    "habana",
    "instinct",
    "cloud",
    "hgx",
)
"""Words before an accelerator's own name."""
SAME_AS: Mapping[str, str] = {
    r"a100.*40g": "a10040gb",
    r"h100.*94gb": "h100nvl",
    r"gracehopper": "gh200",
    r"trillium|v6e": "tpuv6e",
    r"v5p": "tpuv5p",
    r"tpuv5lite|v5e": "tpuv5e",
    r"tpu7x|ironwood": "tpuironwood",
    r"trn2": "trainium2",
}
"""Other names, as patterns of letters and digits -> key of :data:`NODES`."""

GBIT_PER_S: Mapping[str, float] = {
    "a100": 200,
    "a800": 200,
    "gaudi2": 300,
    "gaudi3": 600,
    "mi250x": 200,
    "v100": 100,
}
"""Fabric per GPU where a record prints none; 400 Gbit/s for nodes not listed. A Gaudi
has 24 ports of 100 (Gaudi 3: 200), three of which leave the node."""
DEFAULT_GBIT_PER_S = 400.0

FABRICS: tuple[tuple[str, float, str], ...] = (
    (r"\befa\b", 0, "efa-v2-3200"),
    (r"omni-?path", 0, "omni-path-100-x4"),
    (r"1:7 oversubscription", 0, "roce-400-pods-7to1"),
    (r"\bici\b|torus", 0, "tpu-dcn"),
    (r"roce|ethernet|slingshot", 200, "roce-200"),
    (r"roce", 400, "roce-400"),
    (r"", 100, "ib-hdr-rail-optimised"),
    (r"", 200, "ib-hdr-rail-optimised"),
    (r"", 800, "ib-xdr-rail-optimised"),
    (r"", 0, "ib-ndr-rail-optimised"),
)
"""Words in ``interconnect``, Gbit/s per GPU (0: any) -> fabric; the first that fits.

It gives the latency and the efficiency; the rate is the record's."""
TPU_FABRIC = "tpu-dcn"
"""What connects pods of TPUs; inside one their chips are a scale-up domain."""
