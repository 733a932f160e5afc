"""The parts that all jobs share, on Beam: reading, merging, writing, and the commit of a set."""
