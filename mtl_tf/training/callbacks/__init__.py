"""Callbacks of `MultiTaskTrainer.fit`."""
