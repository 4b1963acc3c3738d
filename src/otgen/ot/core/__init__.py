"""What every kind of transport problem shares, and what knows none of them."""
