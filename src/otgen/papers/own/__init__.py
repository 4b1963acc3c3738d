"""No paper: the default recipe and its figure, toys, and closed forms that the tests rest on."""
