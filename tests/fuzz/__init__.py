"""Inputs that nobody meant: `make fuzz` has the long form."""
