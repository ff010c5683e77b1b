"""Arrays in numpy's .npy format from bytes: plain numbers only, nothing allocated beyond what the bytes hold."""

from __future__ import annotations

import re
from math import prod

import numpy as np

from limpid.data.media.cells import Unreadable

_HEADER = re.compile(
    rb"\{'descr': '([<>|=])([biuf])([1248])', 'fortran_order': (True|False), 'shape': \(([0-9, ]{0,80})\),? ?\}[ \n]*"
)
_LONGEST_HEADER = 4_096


def read_npy(data: bytes) -> np.ndarray:
    """The array.

    Args:
        data: a whole .npy file of version 1 to 3.

    Raises:
        Unreadable: it is damaged, or holds objects, records or text.
    """
    width = 2 if data[6:7] == b"\x01" else 4
    length = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width + length
    # Read by a pattern: numpy's own reader evaluates the header as Python and allocates whatever it promises.
    found = _HEADER.fullmatch(data[8 + width : start]) if length <= _LONGEST_HEADER else None
    if found is None or data[6:7] not in (b"\x01", b"\x02", b"\x03"):
        raise Unreadable("a numpy array that is damaged or holds something else than plain numbers")
    order, kind, size, fortran, shape_text = (part.decode() for part in found.groups())
    shape = tuple(int(n) for n in shape_text.replace(" ", "").split(",") if n)
    if kind == "b" and size != "1":
        raise Unreadable("a numpy array of an unknown type")
    if kind == "f" and size == "1":
        raise Unreadable("a numpy array of an unknown type")
    wanted = prod(shape) * int(size)
    if wanted != len(data) - start:
        raise Unreadable(f"a numpy array that promises {wanted:,} bytes and holds {len(data) - start:,}")
    dtype = np.dtype(f"{'<' if order == '|' else order}{kind}{size}")
    flat = np.frombuffer(data, dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran == "True" else "C")
