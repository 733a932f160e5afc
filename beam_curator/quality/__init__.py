"""Quality of sound, measured without a model or scored by one: pure."""
