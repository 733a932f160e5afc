"""The engines behind the names of runners: the processes that a job needs, started, watched and ended."""
