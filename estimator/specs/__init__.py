"""Frozen records: what a scenario is made of. No behaviour beyond derived sizes.

May import ground.
"""
