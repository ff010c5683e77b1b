"""From parts of a table to encoded arrays, in chunks, in memory when small and on the disk when large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from limpid.core.contracts import Task
from limpid.core.repairs import Repairs
from limpid.data.encoded import Encoded, EncodedWriter
from limpid.planning.encoders import Encoders
from limpid.planning.parts import Part

_CHUNK = 65_536


def encode_part(
    part: Part, encoders: Encoders, task: Task, repairs: Repairs, folder: Path | None, resident_bytes: int
) -> Encoded:
    """Encode the rows of one part.

    Args:
        part: which rows.
        encoders, task: fitted on training rows.
        repairs: tally of what had to be mended.
        folder: where arrays larger than `resident_bytes` are put, memory-mapped.
        resident_bytes: size up to which arrays stay in memory, in bytes.
    """
    target = task.encode(part.target, repairs, rows=part.rows)
    writer = EncodedWriter(len(part.rows), folder, resident_bytes)
    columns = list(encoders.columns)
    whole = len(part.rows) == part.table.rows
    done = 0
    if whole:
        frames = part.table.chunks(columns, _CHUNK)
    else:
        frames = (
            part.table.read(columns, rows=part.rows[start : start + _CHUNK])
            for start in range(0, len(part.rows), _CHUNK)
        )
    for frame in frames:
        stop = done + frame.height
        writer.append(
            encoders.encode(frame, repairs, where=part.table.name),
            part.rows[done:stop],
            target[done:stop],
            None if part.weight is None else part.weight[done:stop],
        )
        done = stop
    assert done == len(part.rows), f"{done} rows encoded of {len(part.rows)}"
    return writer.finish()


def rows_frame(parts: dict[str, Part]) -> pl.DataFrame:
    """Which source row went to which part, for rows.parquet."""
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "file": pl.Series([part.table.name]).cast(pl.Categorical).new_from_index(0, len(part.rows)),
                    "row": part.rows.astype(np.int64),
                    "part": pl.Series([name]).cast(pl.Categorical).new_from_index(0, len(part.rows)),
                }
            )
            for name, part in parts.items()
        ]
    )
