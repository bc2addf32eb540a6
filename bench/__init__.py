"""Benchmarks: each compares what it measures with something else in the same run."""
