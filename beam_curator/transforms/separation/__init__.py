"""Separation of speakers in pipelines: rows with turns in, tracks and their rows out."""
