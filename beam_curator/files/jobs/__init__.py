"""The work of each job on an open recording: rows, files and dead letters. No pipeline."""
