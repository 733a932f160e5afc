"""Turns and their texts in the file formats of other tools."""
