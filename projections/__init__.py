"""Read models: what people ask the ledger. All of their SQL, one file a view.

Every view is folded from the entries in batches, its progress in the same transaction
as its rows. Rows are versioned by position, so that a view answers as of any of them.
"""
