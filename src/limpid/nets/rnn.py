"""rnn: the plain recurrent net, one state that each word changes.

Elman (1990), "Finding structure in time": h = tanh(W x + U h + b). Published: one layer, one direction. It forgets
fast; here it reads in both directions and pools all states by attention, so that early words are not lost.
"""

from __future__ import annotations

from typing import ClassVar

from limpid.layers.recurrent import Cell
from limpid.layers.recurrent_net import RecurrentNet


class RNN(RecurrentNet):
    """A net of the cell "rnn" in both directions, its states pooled by attention; see RecurrentNet for its parts."""

    cell: ClassVar[Cell] = "rnn"
