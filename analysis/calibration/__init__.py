"""What a gate can see: an experiment's own history replayed without harm and with known harm.

Read replay.py first: timelines drawn from history, harm injected, every judge at every look.
"""
