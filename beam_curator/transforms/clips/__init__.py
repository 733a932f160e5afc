"""Cutting clips out of recordings: plan, name, cut, write, index."""
