"""The engine: configuration, journal, strategies, evaluators, executors, the run and its commands."""
