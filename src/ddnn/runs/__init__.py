"""The directory that a training run leaves behind, and what it says."""
