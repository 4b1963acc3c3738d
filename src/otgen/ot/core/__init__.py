"""What all kinds of transport problem share; nothing here depends on a particular kind."""
