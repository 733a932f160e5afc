"""From recordings to clean clips of one speaker: speech, speakers, filters. Pure."""
