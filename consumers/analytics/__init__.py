"""Analytics: the topic of events as Parquet by day, and questions to it in DuckDB.

A consumer to start from. It reads one topic and knows no database: what it needs of the
ledger is in the records. It wants the extra ``analytics`` (pyarrow, duckdb); only
``cli`` may be imported without.
"""
