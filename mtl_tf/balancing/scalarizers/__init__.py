"""Scalarizers: losses `[K]` -> scalar, one backward pass. One method per file."""
