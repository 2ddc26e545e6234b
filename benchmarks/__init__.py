"""Benchmarks: what syncing costs, beside bare loops that do the same work, in the same run.

`python -m benchmarks` prints tables and writes `benchmarks/results/<name>.json`. Machines are
shared and noisy: read the ratios, not the seconds.
"""
