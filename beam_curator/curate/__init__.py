"""From recordings to clean clips of one speaker: what is speech, whose it is, and which clips are good enough. Pure."""
