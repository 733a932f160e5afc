"""Hands for models: where they lie, how they are checked and loaded, and the backends that run them. No pipeline."""
