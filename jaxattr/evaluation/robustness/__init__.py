"""How much of an explanation survives an attack on it."""
