"""Photographs and methods to maps, scores and figures."""
