"""Additions to a Keras optimizer: L2, multipliers, asynchronous updates, schedules."""
