"""The page that shows sets: its data, from their rows and their books, and its static files."""
