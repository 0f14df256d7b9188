"""Aggregators: Jacobian `[K, P]` -> direction `[P]`, K backward passes. One method per file."""
