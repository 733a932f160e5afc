"""The files of an export: clips with all that is written beside them, and the journal of a recording."""
