"""A simulated national history: what it assumes, its lives, and how it is loaded.

Nobody in it exists. Every number it rests on stands in ``assumptions.py`` and is
explained in docs/explanation/simulation.md.
"""
