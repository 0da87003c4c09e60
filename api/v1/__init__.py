"""The first version of the HTTP interface, under ``/v1``."""
