"""Transport from a law that can be sampled to weighted atoms."""
