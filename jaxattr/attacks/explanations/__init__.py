"""Attacks on explanations: the path in one file, what it ascends in another."""
