"""Arithmetic that methods and metrics share, none of it about models.

- ``dtypes``: what is summed wide enough;
- ``norms``: of images, at any scale;
- ``quadrature``: nodes and weights on [0, 1];
- ``rankings``: orders and ranks of attribution values;
- ``windows``: square neighbourhoods on maps.
"""
