"""A function as the list of its primitives, evaluated and pulled back by tables of rules.

``program`` lists the equations of a function, ``nodes`` groups them into the layers that
rules are about, ``evaluation`` runs them forwards and ``pullback`` backwards.
"""
