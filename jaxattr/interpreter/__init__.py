"""A function as the list of its primitives, evaluated and pulled back by tables of rules.

``program`` lists the equations of a function, ``nodes`` says what the layers are that
rules are about, ``grouping`` finds them, ``evaluation`` runs them forwards and
``pullback`` backwards.
"""
