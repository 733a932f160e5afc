"""Who speaks when, pure: models as two functions and NumPy, turns, RTTM and entries.

Nothing is imported here: the options are needed without NumPy, for the help of the command.
"""
