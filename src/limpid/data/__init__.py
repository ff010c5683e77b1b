"""Where rows come from, what the columns are, how rows are divided, and how they are kept once encoded."""

from limpid.data.encoded import Encoded, EncodedWriter
from limpid.data.split import Parts, SplitSpec, split
from limpid.data.table import Table, open_table

__all__ = ["Encoded", "EncodedWriter", "Parts", "SplitSpec", "Table", "open_table", "split"]
