"""Weightings: Gramian `[K, K]` -> weights `[K]`, K backward passes. One method per file."""
