"""The export of clips as a tree, on Beam."""
