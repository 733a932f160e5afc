"""Training windows: the rules, the plans, the overlaps among them, and their rows as bytes."""
