"""The export of clips, pure: the tree and its names, and the documents, previews and embeddings in it."""
