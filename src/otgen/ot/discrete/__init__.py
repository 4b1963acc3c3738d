"""Transport between two weighted clouds of points, or from a matrix of costs."""
