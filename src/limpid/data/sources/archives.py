"""Zip and tar archives of pictures, recordings or texts, read safely: their bytes go into one file of the cache folder.

Nothing is ever written under a member's name, so a name cannot lead out of a folder; links, devices and encrypted
members are passed over and counted; what unpacks to far more than it was packed is refused before the disk is full.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import IO

from limpid.core.errors import DataError
from limpid.data import cache
from limpid.data.sources.base import Table
from limpid.data.sources.files import LARGEST_FILE, MOST_FILES, Member, file_tables, majority, no_files
from limpid.data.sources.store import key_of

_BLOB, _INDEX = "files.bin", "files.json"
_RATIO = 200  # unpacked bytes for each packed one, beyond which an archive is taken for a bomb
_FREE_BYTES = 64 << 20  # unpacked bytes that are always allowed
_BLOCK = 1 << 20
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError,
    LookupError,
)  # fmt: skip


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar archive, packed with gzip, bzip2, xz or not."""
    name = path.name.lower()
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return False
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return True
    return head[257:262] == b"ustar" or name.endswith(
        (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
    )


def open_archive(path: Path, name: str, what: str) -> dict[str, Table]:
    """The files of an archive as tables, one for each part that its folders name.

    Args:
        path: the archive.
        name: what messages call it.
        what: the option that it was given for.

    Raises:
        DataError: it is damaged, a bomb, or holds nothing that limpid reads.
    """
    key = "files-" + key_of(path, "archive").removeprefix("table-")
    entry = cache.find(key)
    if entry is None:
        _unpack(path, name, key, what)
        entry = cache.find(key)
    if entry is None:
        raise _damaged(name, what, "its unpacked copy was removed while it was being made")
    try:
        index = json.loads((entry / _INDEX).read_text(encoding="utf-8"))
        members = [Member(*m) for m in index["members"]]
        places = dict(zip((m.path for m in members), index["places"], strict=True))
    except (OSError, ValueError, KeyError, TypeError) as error:
        cache.remove(entry)
        raise _damaged(name, what, f"its unpacked copy {entry} was damaged and is deleted; run again") from error
    blob = _Blob(entry, places, {m.path: m.size for m in members})
    tables = file_tables(name, members, blob.load, key, what)
    first = next(iter(tables.values()))
    for reason, count in index["left_out"].items():
        first.repairs.add(name, f"members {reason}, passed over", count)
    return tables


class _Blob:
    """The unpacked bytes; the entry is held so that no other process removes it meanwhile."""

    def __init__(self, entry: Path, places: dict[str, int], sizes: dict[str, int]) -> None:
        self._lock = cache.hold(entry)
        self._path = entry / _BLOB
        self._places, self._sizes = places, sizes

    def __del__(self) -> None:
        if getattr(self, "_lock", None) is not None:
            self._lock.close()  # type: ignore[union-attr]

    def load(self, path: str) -> bytes | None:
        """A member's bytes."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._places[path])
                return file.read(self._sizes[path])
        except (OSError, KeyError):
            return None


def _unpack(path: Path, name: str, key: str, what: str) -> None:
    packed = path.stat().st_size
    limit = max(_FREE_BYTES, _RATIO * packed)
    members: list[Member] = []
    places: list[int] = []
    left_out: dict[str, int] = {}
    names: set[str] = set()
    with cache.making(key, need_bytes=packed) as folder:
        try:
            with (folder / _BLOB).open("wb") as blob:
                for member, stream, reason in _members(path):
                    clean = _clean(member)
                    if reason is None and clean is None:
                        reason = "with a name that leads elsewhere"
                    if reason is None and clean in names:
                        reason = "with the name of another one"
                    if reason is not None or stream is None or clean is None:
                        left_out[reason or "without content"] = left_out.get(reason or "without content", 0) + 1
                        continue
                    place = blob.tell()
                    _copy(stream, blob, place, limit, name, what)
                    size = blob.tell() - place
                    if size > LARGEST_FILE:
                        blob.seek(place)
                        blob.truncate()
                        left_out["of more than 256 MB"] = left_out.get("of more than 256 MB", 0) + 1
                        continue
                    names.add(clean)
                    members.append(Member(clean, size))
                    places.append(place)
                    if len(members) > MOST_FILES:
                        raise _bomb(name, what, f"it holds more than {MOST_FILES:,} files")
        except _BROKEN as error:
            raise _damaged(name, what, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
        if majority(members) is None:
            raise (
                _office(name, what)
                if any(m.path.startswith(("xl/", "content.xml")) for m in members)
                else no_files(name, what)
            )
        order = sorted(range(len(members)), key=lambda n: members[n].path)
        index = {
            "members": [list(astuple(members[n])) for n in order],
            "places": [places[n] for n in order],
            "left_out": left_out,
        }
        (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")


def _members(path: Path) -> Iterator[tuple[str, IO[bytes] | None, str | None]]:
    """Name, content and, where it is to be passed over, the reason, of each member that is no folder."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                mode = info.external_attr >> 16
                if info.flag_bits & 1:
                    yield info.filename, None, "that are encrypted"
                elif mode and (mode & 0o170000) == 0o120000:
                    yield info.filename, None, "that are links"
                else:
                    with archive.open(info) as stream:
                        yield info.filename, stream, None
        return
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            if member.isdir():
                continue
            if not member.isreg():
                yield member.name, None, "that are links or devices"
            else:
                yield member.name, archive.extractfile(member), None


def _clean(name: str) -> str | None:
    """A member's path with / between its parts; None where it leads out of the archive, is hidden or no text."""
    parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".")]
    if not parts or ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0] or len(name) > 4096:
        return None
    if any(p.startswith(".") or p == "__MACOSX" for p in parts):
        return None
    text = "/".join(parts)
    return text if text.isprintable() else None


def _copy(stream: IO[bytes], blob: IO[bytes], place: int, limit: int, name: str, what: str) -> None:
    while block := stream.read(_BLOCK):
        blob.write(block)
        if blob.tell() > limit:
            raise _bomb(name, what, f"it unpacks to more than {limit / 1e6:,.0f} MB")
        if blob.tell() - place > LARGEST_FILE:
            return


def _bomb(name: str, what: str, why: str) -> DataError:
    return DataError(
        f"the archive is refused: {why}",
        where=f"{what} {name}",
        expected=f"an archive that unpacks to at most {_RATIO} times its size",
        fix="unpack it yourself, if you trust it, and name the folder",
    )


def _office(name: str, what: str) -> DataError:
    return DataError(
        "it is an Excel or OpenDocument table, which is a ZIP archive of its own kind",
        where=f"{what} {name}",
        expected="CSV, Parquet or another table that limpid reads",
        fix="save the table as CSV",
    )


def _damaged(name: str, what: str, why: str) -> DataError:
    return DataError(
        f"the ZIP or tar archive cannot be read: {why}",
        where=f"{what} {name}",
        expected="a whole zip or tar archive",
        fix="fetch or make the archive again",
    )
