"""Statistics and judgment: arrays and dataclasses in, dataclasses out. Start with verdict.py."""
