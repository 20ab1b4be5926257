"""One module per traffic strategy: what it compares by default, what it counts, what must hold.

A module has one class of the shape of declaration.Strategy, and nothing else knows of it: `kind` in
a spec's `strategy` names it, the class's fields are what may be written beside it.
"""
