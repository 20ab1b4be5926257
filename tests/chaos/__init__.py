"""Faults made for real: kills, full disks, misbehaving servers; `make chaos` has the large form."""
