"""Sinkhorn's algorithm."""
