"""From parts of a table to encoded arrays, in chunks, in memory when small and on the disk when large.

What is made of whole files (pictures, recordings) is kept in the cache folder, so that a second run on the same data
decodes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

from limpid.core.contracts import Task
from limpid.core.errors import DataError
from limpid.core.files import dump_json
from limpid.core.repairs import Repairs
from limpid.data import cache
from limpid.data.encoded import Encoded, EncodedWriter
from limpid.planning.encoders import Encoders
from limpid.planning.parts import Part

_CHUNK = 65_536
_TARGET_ROWS = 1 << 20
_VERSION = 1
_ABOUT = "encoded.json"


@dataclass
class LeftOut:
    """Rows that could not be read and are in no part, with what holds their cache entries in place.

    Args:
        rows: part, file, source row number from 0, and the reason of each.
        holds: locks of cache entries that are in use.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    holds: list[IO[bytes]] = field(default_factory=list)

    def release(self) -> None:
        """Let go of the cache entries."""
        while self.holds:
            self.holds.pop().close()

    def frame(self) -> pl.DataFrame:
        """As left_out.csv holds them; rows are counted from 1 there, as in messages."""
        columns = {"part": pl.String, "file": pl.String, "row": pl.Int64, "what": pl.String, "reason": pl.String}
        return pl.DataFrame([{**r, "row": r["row"] + 1} for r in self.rows], schema=columns)


def encode_part(
    part: Part,
    encoders: Encoders,
    task: Task,
    repairs: Repairs,
    folder: Path | None,
    resident_bytes: int,
    left_out: LeftOut | None = None,
) -> Encoded:
    """Encode the rows of one part.

    Args:
        part: which rows.
        encoders, task: fitted on training rows.
        repairs: tally of what had to be mended.
        folder: where arrays larger than `resident_bytes` are put, memory-mapped.
        resident_bytes: size up to which arrays stay in memory, in bytes.
        left_out: takes the rows with a cell that cannot be read.

    Raises:
        DataError: no row of the part can be read.
    """
    target = _encoded_target(part, task, repairs)
    if encoders.files:
        arrays, reasons = _from_files(part, encoders, repairs, left_out or LeftOut())
    else:
        arrays, reasons = _encoded(part, encoders, repairs, EncodedWriter(len(part.rows), folder, resident_bytes))
    weight = None if part.weight is None else np.asarray(part.weight, dtype=np.float32)
    if not reasons:
        return Encoded(arrays, part.rows, target, weight)
    _leave_out(part, reasons, repairs, left_out or LeftOut())
    kept = np.setdiff1d(np.arange(len(part.rows)), np.array(list(reasons), dtype=np.int64))
    return Encoded(arrays, part.rows[kept], target[kept], None if weight is None else weight[kept])


def _encoded_target(part: Part, task: Task, repairs: Repairs) -> np.ndarray:
    """The encoded target of a part, some rows at a time."""
    starts = range(0, max(len(part.rows), 1), _TARGET_ROWS)
    pieces = [
        task.encode(part.target[s : s + _TARGET_ROWS], repairs, rows=part.rows[s : s + _TARGET_ROWS]) for s in starts
    ]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _encoded(
    part: Part, encoders: Encoders, repairs: Repairs, writer: EncodedWriter
) -> tuple[dict[str, np.ndarray], dict[int, str]]:
    """The arrays of the rows that can be read, and why the others cannot: position in the part -> reason."""
    reasons: dict[int, str] = {}
    done = 0
    for frame in _frames(part, list(encoders.columns)):
        arrays = encoders.encode(frame, repairs, where=part.table.name)
        rejected = repairs.take_rejected()
        reasons.update({done + place: why for place, why in rejected.items()})
        positions = np.arange(done, done + frame.height)
        if rejected:
            good = np.setdiff1d(np.arange(frame.height), np.array(list(rejected)))
            arrays = {name: array[good] for name, array in arrays.items()}
            positions = positions[good]
        writer.append(arrays, positions, None, None)
        done += frame.height
    assert done == len(part.rows), f"{done} rows encoded of {len(part.rows)}"
    return writer.finish().arrays, reasons


def _frames(part: Part, columns: list[str]) -> Iterator[pl.DataFrame]:
    if len(part.rows) == part.table.rows:
        return part.table.chunks(columns, _CHUNK)
    return part.table.gather(columns, part.rows, _CHUNK)


def _from_files(
    part: Part, encoders: Encoders, repairs: Repairs, left_out: LeftOut
) -> tuple[dict[str, np.ndarray], dict[int, str]]:
    """The same through the cache folder."""
    key = _key(part, encoders)
    found = _read(key, repairs, left_out)
    if found is not None:
        return found
    own = Repairs()
    with cache.making(key) as folder:
        arrays, reasons = _encoded(part, encoders, own, EncodedWriter(len(part.rows), folder, 0))
        about = {
            "version": _VERSION,
            "arrays": {name: Path(str(array.filename)).name for name, array in _mapped(arrays).items()},
            "rows": len(part.rows) - len(reasons),
            "reasons": list(reasons.items()),
            "repairs": own.as_list(),
        }
        (folder / _ABOUT).write_text(dump_json(about), encoding="utf-8")
        del arrays
    found = _read(key, repairs, left_out)
    if found is None:
        raise DataError(
            "the decoded files were removed from the cache folder while they were being made",
            where=str(cache.folder()),
            expected="a cache folder that no other program empties, large enough for the decoded files",
            fix="run the command again; LIMPID_CACHE_GB sets the folder's size",
        )
    return found


def _mapped(arrays: dict[str, np.ndarray]) -> dict[str, np.memmap[Any, Any]]:
    mapped: dict[str, np.memmap[Any, Any]] = {}
    for name, array in arrays.items():
        base: Any = array
        while not isinstance(base, np.memmap) or base.filename is None:
            base = base.base
        mapped[name] = base
    return mapped


def _key(part: Part, encoders: Encoders) -> str:
    state = sha256(f"{_VERSION} {part.table.digest()} {dump_json(encoders.state())}".encode())
    state.update(np.ascontiguousarray(part.rows, dtype=np.int64).tobytes())
    return "encoded-" + state.hexdigest()[:40]


def _read(key: str, repairs: Repairs, left_out: LeftOut) -> tuple[dict[str, np.ndarray], dict[int, str]] | None:
    entry = cache.find(key)
    if entry is None:
        return None
    lock = cache.hold(entry)
    if lock is not None:
        left_out.holds.append(lock)
    try:
        about = json.loads((entry / _ABOUT).read_text(encoding="utf-8"))
        if about["version"] != _VERSION:
            raise ValueError("another version")
        rows = int(about["rows"])
        arrays = {
            name: np.load(entry / file, mmap_mode="r", allow_pickle=False)[:rows]
            for name, file in about["arrays"].items()
        }
        if any(len(array) != rows for array in arrays.values()):
            raise ValueError("rows are missing")
        reasons = {int(place): str(why) for place, why in about["reasons"]}
        mended = [(r["where"], r["what"], int(r["count"]), r["example"]) for r in about["repairs"]]
    except (OSError, ValueError, KeyError, TypeError):
        if lock is not None:
            lock.close()
        cache.remove(entry)  # damaged: made anew
        return None
    for where, what, count, example in mended:
        repairs.add(where, what, count, example)
    return arrays, reasons


def _leave_out(part: Part, reasons: dict[int, str], repairs: Repairs, left_out: LeftOut) -> None:
    """List and count the rows that cannot be read."""
    places = sorted(reasons)
    table = part.table
    named = [table.names_of(c)[part.rows[places]] for c in sorted(table.heavy)]
    said = [", ".join(str(n) for n in row) for row in zip(*named, strict=True)] if named else [""] * len(places)
    for place, what in zip(places, said, strict=True):
        row = {"part": part.name, "file": table.name, "row": int(part.rows[place]), "what": what}
        left_out.rows.append({**row, "reason": reasons[place]})
    first = f"{said[0]}: {reasons[places[0]]}"
    if len(places) == len(part.rows):
        raise DataError(
            f"none of the {len(places):,} {part.name} rows can be read",
            where=table.name,
            expected="files that are whole",
            fix=f"look at the first: {first}",
        )
    repairs.add(table.name, f"of the {part.name} rows could not be read and were left out", len(places), first)


def rows_frame(parts: dict[str, Part]) -> pl.DataFrame:
    """Which source row went to which part, for rows.parquet; enumerations, since there may be very many rows."""
    files = pl.Enum(list(dict.fromkeys(part.table.name for part in parts.values())))
    named = pl.Enum(list(parts))
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "file": pl.repeat(part.table.name, len(part.rows), dtype=files, eager=True),
                    "row": part.rows,
                    "part": pl.repeat(name, len(part.rows), dtype=named, eager=True),
                }
            )
            for name, part in parts.items()
        ]
    )
