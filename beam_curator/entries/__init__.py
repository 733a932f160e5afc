"""Entries: rows of manifests as bytes, as records, and the keys that jobs add to them."""
