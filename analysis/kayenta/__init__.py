"""Netflix's canary judge (Kayenta's NetflixACAJudge-v1.0), and what it doesn't see.

Read classify.py first: one metric's two series in, one label with its reason out.
"""
