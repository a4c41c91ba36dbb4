"""The frequency bands that models rely on, over labelled photographs."""
