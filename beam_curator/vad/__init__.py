"""Where anybody speaks: from probabilities of frames to spans of speech."""
