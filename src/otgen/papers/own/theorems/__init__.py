"""Closed forms of our own, which the tests rest on."""
