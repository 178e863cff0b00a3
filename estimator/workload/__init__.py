"""From a scenario to what each rank must do: operations and their durations."""
