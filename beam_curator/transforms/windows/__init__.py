"""Training windows on Beam: built, filtered by overlap, and written as a set."""
