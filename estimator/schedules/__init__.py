"""Pipeline schedules: one small generator of instructions per file."""
