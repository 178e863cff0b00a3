"""The figures of the README, worked out again: ``python examples/readme.py``."""

from estimator import compare, estimate, load_scenario, sweep
from estimator.answer.api import layers

report = estimate("deepseek-v3")
step, rank = report.step, report.step.ranks[0]
print(f"one step            {step.step_s:7.3f} s, MFU {step.mfu:.2%}")
print(f"- forward chunks    {rank.forward_s:7.3f} s")
print(f"- backward chunks   {rank.backward_s + rank.backward_input_s:7.3f} s")
print(f"- overlapped pairs  {rank.overlapped_s:7.3f} s")
print(f"- weight chunks     {rank.weight_s:7.3f} s")
print(f"- bubble            {rank.bubble_s:7.3f} s")
print(f"- optimizer         {rank.optimizer_s:7.3f} s")
for name, seconds in layers(load_scenario("deepseek-v3")).items():
    print(f"{name:20}{seconds:6.1f} s")
low, high = (f"${end / 1e6:.2f}M" for end in report.range["cost_usd"])
print(f"${report.cost_usd / 1e6:.2f}M, between {low} and {high}")
print((report.frame().set_index("name")["gpu_hours"] / 1e6).round(3).to_string())

for share in compare(["deepseek-v3@1f1b", "deepseek-v3"]).shares:
    print(f"{share.input}: {share.gpu_hours / 1e6:+.3f}M GPU-hours")
rows = sweep("deepseek-v3", ["cluster.fabric.bytes_per_s=25 GB/s:100 GB/s:4"]).frame()
for rate, cost in zip(rows.iloc[:, 1], rows["cost_usd"], strict=True):
    print(f"fabric {rate / 1e9:3.0f} GB/s: ${cost / 1e6:.2f}M")
