"""The transforms for Beam YAML: plain keyword arguments in, rows with a schema out."""
