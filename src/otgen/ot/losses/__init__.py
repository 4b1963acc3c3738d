"""Losses: sums of transport values, as modules."""
