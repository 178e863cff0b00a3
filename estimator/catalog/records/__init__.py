"""A published run, as its source tells it, becomes a scenario."""
