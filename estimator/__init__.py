"""estimator: what training a large language model takes."""
