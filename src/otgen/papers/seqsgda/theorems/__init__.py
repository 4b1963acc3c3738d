"""The theorems of Adnan et al. 2021, a file a group of equations or sections."""
