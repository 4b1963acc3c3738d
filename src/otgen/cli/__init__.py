"""The command. One module a sub-command; whatever is heavy is imported inside the functions."""
