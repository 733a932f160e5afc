"""Beam transforms: thin wiring around the pure core."""

if __name__ == "transforms":
    raise ImportError("the folder is a link for readers: import beam_curator.transforms")
