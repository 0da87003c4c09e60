"""Import: the dated steps of another system as acts of this office.

``mapping`` says what they are and ``declared`` of which office; ``sources`` reads the
rows, ``acts`` makes commands of them, ``places`` publishes what is declared and what
became of it, ``cases`` knows where each case is, ``importer`` does it all in batches,
row by row (``rows``), and ``report`` counts.
"""

from office.importing.importer import Importer
from office.importing.mapping import Mapping, MappingError, read_mapping
from office.importing.report import ImportReport, RowFate, RowNote
from office.importing.sources import (
    STDIN,
    Source,
    SourceError,
    SourceFormat,
    open_source,
)

__all__ = [
    "STDIN",
    "ImportReport",
    "Importer",
    "Mapping",
    "MappingError",
    "RowFate",
    "RowNote",
    "Source",
    "SourceError",
    "SourceFormat",
    "open_source",
    "read_mapping",
]
