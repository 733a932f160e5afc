"""What stands behind a runner's name: the processes that a job needs, started, watched and ended."""
