"""Names and files become specs, and specs files: ours, frameworks', published runs.

May import ground, specs, schedules and costs.
"""
