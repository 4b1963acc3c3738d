"""Demonstrations on data that nobody prepared for otgen, beside its peers."""
