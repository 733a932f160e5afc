"""Quality of sound in pipelines: recordings, or rows that name them, to rows with measures."""
