"""lstm: long short-term memory, a recurrent net with a cell that gates write and erase.

Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000), its bias at 1 (Jozefowicz et al. 2015).
Published defaults: dropout 0.5 outside of the recurrence (medium net of Zaremba et al. 2014, arXiv 1409.2329).
"""

from __future__ import annotations

from typing import ClassVar

from limpid.layers.recurrent import Cell
from limpid.layers.recurrent_net import RecurrentNet


class LSTM(RecurrentNet):
    """A net of the cell "lstm" in both directions, its states pooled by attention; see RecurrentNet for its parts."""

    cell: ClassVar[Cell] = "lstm"
