"""Benchmarks: one claim a file, measured against what users would write or install instead."""
