"""Backups of the ledger: one file that checks itself, and the way back from it.

The form of the file is docs/reference/backup.md; why it is so, decision 0035.
"""
