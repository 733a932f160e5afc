"""The exit codes of the commands."""

DONE, FAILED, USAGE, TOO_MANY_FAILURES, INTERRUPTED = 0, 1, 2, 3, 130
