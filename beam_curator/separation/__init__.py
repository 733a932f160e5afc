"""One track for each speaker of a recording, pure: from turns to spans, samples and child rows.

Nothing is imported here: the options are needed without NumPy, for the help of the command.
"""
