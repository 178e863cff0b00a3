"""The search for the best plan: a space, bounds, full answers in order of promise."""
