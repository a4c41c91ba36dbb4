"""Photographs in files: reading them, their labels, and labelled sets of them."""
