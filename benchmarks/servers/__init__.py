"""The servers that are measured, each a process of its own.

Each prints one line of JSON with its ports, then answers one-line questions on its
standard input with one line of JSON each, and ends when that is closed.
"""
