"""Inward: what agencies, the post and banks send becomes acts of the office.

A message's offset is stored in the same transaction as what it caused, so that sent
twice it does nothing the second time (decision 0036).
"""
