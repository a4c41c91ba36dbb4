"""Timings and studies: ``python -m benchmarks.overhead``, results in ``results/``."""
