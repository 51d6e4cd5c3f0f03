"""Benchmarks: `make bench` and `make bench-rtl`."""
