"""Regularisers of the transport plan."""
