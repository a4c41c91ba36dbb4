"""Weights in files: where they are, how they get here, and what is in them."""
