"""Measurements of GWAY against its own bare engine and against other libraries.

`python -m benchmarks` from a checkout runs them all and prints a table; every
distance to another library is a ratio of two figures of the same run.
"""
