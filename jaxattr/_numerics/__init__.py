"""Arithmetic that methods and metrics share, none of it about models.

- ``apart``: what is compiled apart;
- ``dtypes``: what is summed wide enough;
- ``grids``, ``imputation``: missing pixels from their neighbours, by multigrid;
- ``norms``: of images, at any scale;
- ``quadrature``: nodes and weights on [0, 1];
- ``rankings``: orders and ranks of attribution values;
- ``windows``: square neighbourhoods on maps.
"""
