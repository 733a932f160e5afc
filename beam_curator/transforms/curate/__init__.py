"""Curation of speech on Beam: from recordings to clean clips of one speaker."""
