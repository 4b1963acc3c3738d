"""Scripts that measured something once."""
