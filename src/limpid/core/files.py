"""Files that are whole or absent: atomic writes, bounded reads, digests."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from limpid.core.errors import LimpidError, RunError


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power loss; Windows offers no such call and needs none."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary neighbour of `path` that takes its place when the block ends without an error.

    Other readers see the old file or the new one, never a part: temporary, flush, fsync, rename, fsync of the folder.

    Raises:
        RunError: where the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RunError(
            f"{path.name} could not be written: {error.strerror or error}",
            where=str(path),
            expected="a folder that can be written, with room on its disk",
            fix="free some room or choose another folder with --out; what was saved before is untouched",
        ) from error
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 file atomically."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; keys keep their order, a number that is not finite is refused."""
    write_text(path, dump_json(content) + "\n")


def dump_json(content: Any, *, indent: int | None = 1) -> str:
    """The one way in which limpid writes JSON."""
    return json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)


def read_bounded(path: Path, limit_bytes: int, error: type[LimpidError], *, noun: str) -> bytes:
    """Read a whole file that must not be larger than `limit_bytes`.

    Raises:
        LimpidError: of the class `error`, where the file is missing, too large or cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError as problem:
        raise error(
            f"the {noun} cannot be read: {problem.strerror or problem}",
            where=str(path),
            expected=f"a readable {noun}",
            fix="check the path",
        ) from problem
    if len(content) > limit_bytes:
        raise error(
            f"the {noun} is larger than {limit_bytes:,} bytes",
            where=str(path),
            expected=f"a {noun} of at most {limit_bytes:,} bytes",
            fix="check that this is the right file",
        )
    return content


def load_json(content: bytes, error: type[LimpidError], *, where: str) -> Any:
    """Parse JSON of unknown origin: no duplicate keys, no NaN, no runaway nesting or digits.

    Raises:
        LimpidError: of the class `error`.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a key appears twice")
        return result

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not a JSON number")

    def finite(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            raise ValueError("a number is too large")
        return value

    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse, parse_float=finite)
    except (ValueError, RecursionError) as problem:
        raise error(
            f"this is not valid JSON: {str(problem) or 'nested too deeply'}",
            where=where,
            expected="UTF-8 JSON as limpid writes it",
            fix="restore the file from a copy or make it anew",
        ) from problem


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal, read in pieces of 1 MiB."""
    state = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            state.update(piece)
    return state.hexdigest()
