"""The claims of Adnan et al. 2021, a module a topic."""
