"""What a verb that looks inside a model found: plain data, which prints itself and writes its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from limpid.core.files import write_text
from limpid.core.repairs import Repairs


@dataclass(frozen=True)
class Record:
    """Everything that was found.

    Args:
        record: as plain data.
        repairs: what had to be mended in the rows.
    """

    record: dict[str, Any]
    repairs: Repairs

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return self.record

    def show(self, console: Any = None) -> None:
        """Print tables."""
        from rich.console import Console

        (console or Console()).print(self._printed())

    def html(self, path: str | Path) -> Path:
        """Write a page and return its path."""
        write_text(Path(path), self._page())
        return Path(path)

    def _printed(self) -> Any:
        raise NotImplementedError

    def _page(self) -> str:
        raise NotImplementedError


def answered(decoded: pl.DataFrame) -> dict[str, Any]:
    """What `limpid predict` says of one row, by column; lists where it has several lines, as steps of a forecast."""
    columns = decoded.to_dict(as_series=False)
    return {name: values[0] if len(values) == 1 else values for name, values in columns.items()}
