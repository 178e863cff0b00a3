"""The walk of a scenario's phases: step, memory, ranges, bill and report.

May import what lies below: workload, engine, catalog, costs, schedules, specs, ground.
"""
