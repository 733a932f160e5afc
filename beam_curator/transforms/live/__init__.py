"""Live streams on Beam: reading chunks, the live step, and writing its events."""
