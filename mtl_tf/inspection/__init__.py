"""Inspection of models: cost and drawing."""
