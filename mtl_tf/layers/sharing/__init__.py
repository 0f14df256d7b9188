"""Layers that share features between the columns of several tasks, or choose what is shared."""
