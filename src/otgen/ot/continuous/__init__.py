"""Transport between two laws that can only be sampled."""
