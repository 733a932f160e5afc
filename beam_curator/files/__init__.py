"""Hands for files: storage, listing, files that appear whole, opened recordings, rows and tables. No pipeline."""
