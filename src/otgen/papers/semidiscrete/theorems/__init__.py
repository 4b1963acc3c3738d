"""The theorems of Houdard et al. 2021, a file a group of theorems and equations."""
