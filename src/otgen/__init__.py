"""otgen: generative models trained with optimal transport, every OT value inside a certified interval."""

__version__ = "0.1.0"
