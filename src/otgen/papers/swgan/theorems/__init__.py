"""The claims of Sanjabi et al. 2018, a module a topic."""
