"""Photographs to their nearest boundary points."""
