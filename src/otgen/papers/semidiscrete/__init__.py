"""Houdard et al. 2021: its recipes, figures and theorems."""
