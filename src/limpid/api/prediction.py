"""The verb `predict`: answers for new rows, written where the user wants them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from limpid.api.model import Model, load
from limpid.core.errors import RequestError
from limpid.core.files import replacing
from limpid.core.names import did_you_mean
from limpid.core.repairs import Repairs

_WRITERS = {
    ".csv": lambda frame, file: frame.write_csv(file),
    ".tsv": lambda frame, file: frame.write_csv(file, separator="\t"),
    ".parquet": lambda frame, file: frame.write_parquet(file),
    ".arrow": lambda frame, file: frame.write_ipc(file),
    ".feather": lambda frame, file: frame.write_ipc(file),
    ".jsonl": lambda frame, file: frame.write_ndjson(file),
    ".ndjson": lambda frame, file: frame.write_ndjson(file),
}


class Predictions:
    """What `limpid predict` gives.

    Attributes:
        frame: the answers, one row for each row of the data.
        repairs: what had to be mended in the data.
        path: the file they were written to, or None.
    """

    def __init__(self, frame: Any, repairs: Repairs, path: Path | None) -> None:
        self.frame = frame
        self.repairs = repairs
        self.path = path

    def __len__(self) -> int:
        return len(self.frame)


def predict(
    run: str | Path | Model, data: Any, *, out: str | Path | None = None, keep: Sequence[str] = (), net: Any = None
) -> Predictions:
    """Answer for each row of the data.

    Args:
        run: a run folder, a bundle, or a loaded model.
        data: anything that `limpid.train` reads.
        out: file to write; its suffix chooses the format (.csv, .tsv, .parquet, .arrow, .feather, .jsonl).
        keep: columns of the data to put before the answers.
        net: the module, for a model that was trained with one of the user's own.

    Raises:
        LimpidError: the run, the data or the file's suffix is wrong.
    """
    path = None if out is None else Path(out)
    if path is not None:
        check_suffix(path)
        _check_apart(path, data)
    model = run if isinstance(run, Model) else load(run, net=net)
    frame = model.predict(data, keep=keep)
    if path is not None:
        plain = frame if isinstance(frame, pl.DataFrame) else pl.DataFrame(frame)
        _write(plain, path)
    return Predictions(frame, model.repairs, path)


def check_suffix(path: Path) -> None:
    """Refuse a file whose suffix names no format, before any work is done.

    Raises:
        RequestError: it does not.
    """
    if "\0" in str(path):
        raise RequestError(
            "the path holds a NUL", where="--out", expected="a path of a file to write", fix="use --out answers.csv"
        )
    if path.suffix.casefold() not in _WRITERS:
        raise RequestError(
            f"{path.suffix or 'a name without a suffix'!r} names no format",
            where=f"--out {path}",
            expected=f"a file name that ends in {', '.join(_WRITERS)}",
            fix=did_you_mean(path.suffix or ".csv", list(_WRITERS)),
        )


def _check_apart(path: Path, data: Any) -> None:
    """Refuse to write the answers over the data.

    Raises:
        RequestError: they are one file.
    """
    if isinstance(data, (str, Path)) and path.exists() and Path(data).exists() and path.samefile(data):
        raise RequestError(
            "the answers would be written over the data",
            where=f"--out {path}",
            expected="a file of its own for the answers",
            fix=f"use --out {path.with_name(f'{path.stem}-predictions{path.suffix}')}, with --keep for columns of DATA",
        )


def _write(frame: pl.DataFrame, path: Path) -> None:
    suffix = path.suffix.casefold()
    if suffix in (".csv", ".tsv"):
        # Delimited files have no lists; a set of labels is written the way it is usually read.
        frame = frame.with_columns(
            pl.col(c).cast(pl.List(pl.String)).list.join("|") for c, t in frame.schema.items() if t == pl.List
        )
    with replacing(path) as file:
        _WRITERS[suffix](frame, file)
