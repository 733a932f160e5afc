"""Diarization on Beam: backends that run models, and how they are made."""
