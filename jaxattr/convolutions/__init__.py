"""Convolutions that are fast on CPU at every order of differentiation, and pooling."""
