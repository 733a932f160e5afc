"""How near turns are to those of a reference, pure: conditions, scores of recordings, totals and tables.

Nothing is imported here; pyannote.metrics only where something is measured.
"""
