"""Output sets: their files, kinds and books, and the blocks of raw lines that jobs read."""
