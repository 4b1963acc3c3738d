"""The claims of Houdard et al. 2021, a module a topic."""
