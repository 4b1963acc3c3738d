"""The claims of Sanjabi et al. 2018, a module for each theorem, algorithm or appendix."""
