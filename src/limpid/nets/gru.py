"""gru: gated recurrent units, a recurrent net with two gates and no cell of its own.

Cho et al. 2014 (arXiv 1406.1078); as good as lstm with a quarter fewer weights (Chung et al. 2014, arXiv 1412.3555).
Published defaults: dropout 0.5 outside of the recurrence (medium net of Zaremba et al. 2014, arXiv 1409.2329).
"""

from __future__ import annotations

from typing import ClassVar

from limpid.layers.recurrent import Cell
from limpid.layers.recurrent_net import RecurrentNet


class GRU(RecurrentNet):
    """A net of the cell "gru" in both directions, its states pooled by attention; see RecurrentNet for its parts."""

    cell: ClassVar[Cell] = "gru"
