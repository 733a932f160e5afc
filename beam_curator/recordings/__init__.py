"""Recordings: the names and ids they go by, and the paths under which rows name them."""
