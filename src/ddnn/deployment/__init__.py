"""From a trained network to its use: nets as files, labels for images."""
