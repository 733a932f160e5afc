"""Requests for clips, their names, and the descriptions written about them: pure, without audio and without files."""
