"""What jobs make of open recordings: rows, files and dead letters. No pipeline."""
