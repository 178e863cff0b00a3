"""From a scenario to what each rank must do: operations and their durations.

May import ground, specs, schedules, costs, catalog and engine.
"""
