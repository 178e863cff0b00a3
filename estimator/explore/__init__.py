"""Many scenarios at once: sweeps, plan search, comparison, attribution, uncertainty.

May import validation and what lies below it.
"""
