"""Pinetz et al. 2018: its recipes, figures and theorems."""
