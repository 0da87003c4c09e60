"""The doors for people and machines: HTTP (``v1``) and the command line (``cli``).

A door turns what came in into a command and an envelope, and what came of it into an
answer. It decides nothing: rules are the domain's, acts the office's.
"""
