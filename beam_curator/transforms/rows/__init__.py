"""Jobs over the rows of manifests in pipelines: rows in, rows out."""
