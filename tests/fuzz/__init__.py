"""Fuzzing of what reads bytes from outside. A target is a module with `SEEDS` and `check`, which raises on a finding.

The ordinary suite runs every target on mutated seeds for a bounded time (test_targets.py); `make fuzz` runs them under
atheris, which is guided by coverage.
"""
