"""Pipeline schedules: one small generator of instructions per file.

May import ground.
"""
