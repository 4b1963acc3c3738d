"""W1 between two measures on a regular grid."""
