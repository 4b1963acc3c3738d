"""The claims of Pinetz et al. 2018, a module a topic."""
