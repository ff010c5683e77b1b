"""The bytes of a text file as UTF-8 in blocks: unpacked within bounds, decoded, without byte order mark or NULs."""

from __future__ import annotations

import codecs
import os
import stat
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import polars as pl

from limpid.core.errors import DataError
from limpid.core.repairs import Repairs

BLOCK = 8 << 20
RATIO = 200
"""How many times its packed size a file may unpack to; real tables stay far below, made-up ones reach 1,000."""

_RATIO_FROM = 16 << 20
_LINES_PER_BATCH = 20_000
_ZSTD_BLOCK = 128 << 10
# Windows-1252 with the five holes filled from Latin-1, as browsers read both names.
_LATIN = "".join(bytes([b]).decode("cp1252", "replace") for b in range(256))
_LATIN = "".join(chr(b) if c == "\ufffd" else c for b, c in enumerate(_LATIN))
LATIN = "latin-1"


def packing_of(head: bytes) -> str:
    """ "gzip", "zstd" or "" by the first bytes of a file."""
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    return "zstd" if head[:4] == b"\x28\xb5\x2f\xfd" else ""


def check_file(path: Path, what: str) -> os.stat_result:
    """Refuse what is no regular, readable file before anything waits on it.

    Raises:
        DataError: for a missing file, a loop of links, a pipe or a device, missing rights.
    """
    try:
        state = path.stat()
        if stat.S_ISREG(state.st_mode):
            with path.open("rb"):
                return state
        problem = "it is no regular file"
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
    raise DataError(
        f"{path.name or path} cannot be read: {problem[:1].lower()}{problem[1:]}",
        where=f"{what} {path}",
        expected="a file that exists and can be read",
        fix="check the path and your rights to it",
    )


class Stream:
    """A file that is read once from the first byte to the last.

    Args:
        path: the file.
        name: what messages call it.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._hash = sha256()
        self._hashed = True

    def digest(self) -> str:
        """The sha256 of the packed bytes; complete once `blocks` is exhausted."""
        if not self._hashed:
            return file_digest(self.path)
        return self._hash.hexdigest()

    def blocks(self) -> Iterator[bytes]:
        """The unpacked bytes.

        Raises:
            DataError: for a damaged or suspiciously dense packing, or a file that changes meanwhile.
        """
        before = self.path.stat()
        with self.path.open("rb") as file:
            packing = packing_of(file.read(4))
        if packing == "gzip":
            yield from self._gzip()
        elif packing == "zstd":
            self._hashed = False
            yield from self._zstd(before.st_size)
        else:
            yield from self._raw()
        after = self.path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise DataError(
                "the file changed while it was being read",
                where=self.name,
                expected="a file that nobody writes to",
                fix="wait until it is complete, or work on a copy",
            )

    def _raw(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while True:
                try:
                    block = file.read(BLOCK)
                except OSError as error:
                    raise DataError(
                        f"the file cannot be read to its end: {error.strerror or error}",
                        where=self.name,
                        expected="a file on a sound disk",
                        fix="copy it elsewhere and try again",
                    ) from error
                if not block:
                    return
                self._hash.update(block)
                yield block

    def _gzip(self) -> Iterator[bytes]:
        packed = unpacked = 0
        engine = zlib.decompressobj(31)
        try:
            for block in self._raw():
                packed += len(block)
                while block:
                    if engine.eof:
                        block = block.lstrip(b"\0")  # padding between members
                        if not block:
                            break
                        engine = zlib.decompressobj(31)
                    out = engine.decompress(block, BLOCK)
                    block = engine.unused_data if engine.eof else engine.unconsumed_tail
                    unpacked += len(out)
                    self._bound(packed - len(block), unpacked)
                    if out:
                        yield out
            while not engine.eof and (out := engine.decompress(engine.unconsumed_tail, BLOCK)):
                unpacked += len(out)
                self._bound(packed, unpacked)
                yield out
        except zlib.error as error:
            raise self._damaged("gzip", str(error).split(": ")[-1]) from error
        if not engine.eof:
            raise self._damaged("gzip", "it ends too early")

    def _zstd(self, packed: int) -> Iterator[bytes]:
        self._bound(packed, _zstd_bound(self.path))
        lines = pl.scan_lines(self.path)
        first = True
        try:
            for batch in lines.collect_batches(chunk_size=_LINES_PER_BATCH, maintain_order=True):
                text = batch.to_series().str.join("\n").item() or ""
                yield ("" if first else "\n").encode() + text.encode()
                first = False
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            if "utf" in str(error).lower():
                raise DataError(
                    "a zstd file can only be read in place where it is UTF-8, and this one is not",
                    where=self.name,
                    expected="UTF-8 text in the zstd file",
                    fix=f"unpack it first: zstd -d {self.path.name}",
                ) from error
            raise self._damaged("zstd", str(error)) from error

    def _bound(self, packed: int, unpacked: int) -> None:
        if unpacked > _RATIO_FROM and unpacked > RATIO * max(packed, 1):
            raise DataError(
                f"the file unpacks to more than {RATIO} times its size, as decompression bombs do",
                where=self.name,
                expected=f"a packed table that unpacks to at most {RATIO} times its size",
                fix="if you trust the file, unpack it yourself (gunzip, zstd -d) and pass the result",
            )

    def _damaged(self, packing: str, problem: str) -> DataError:
        return DataError(
            f"the {packing} file is damaged: {problem}",
            where=self.name,
            expected=f"a whole {packing} file",
            fix="fetch or make the file again",
        )


def _zstd_bound(path: Path) -> int:
    """The most that a zstd file can unpack to, from the headers of its blocks alone."""
    total = 0
    with path.open("rb") as file:
        while len(head := file.read(4)) == 4:
            magic = int.from_bytes(head, "little")
            if magic & 0xFFFFFFF0 == 0x184D2A50:  # a skippable frame
                file.seek(int.from_bytes(file.read(4), "little"), os.SEEK_CUR)
                continue
            if magic != 0xFD2FB528:
                break
            descriptor = file.read(1)
            if not descriptor:
                break
            flags = descriptor[0]
            single = flags >> 5 & 1
            size_bytes = (1 if single else 0, 2, 4, 8)[flags >> 6]
            file.seek((0 if single else 1) + (0, 1, 2, 4)[flags & 3] + size_bytes, os.SEEK_CUR)
            while len(header := file.read(3)) == 3:
                word = int.from_bytes(header, "little")
                kind, size = word >> 1 & 3, word >> 3
                total += size if kind < 2 else _ZSTD_BLOCK
                file.seek(1 if kind == 1 else size, os.SEEK_CUR)
                if word & 1:
                    break
            file.seek(4 if flags >> 2 & 1 else 0, os.SEEK_CUR)
    return total


def file_digest(path: Path) -> str:
    """The sha256 of a file."""
    state = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def encoding_of(head: bytes) -> tuple[str, str]:
    """The encoding that the first bytes speak for, and why; "" where it looks like no text at all.

    Example:
        >>> encoding_of(b"\\xff\\xfea\\x00")[0]
        'utf-16'
    """
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32", "it begins with the byte order mark of UTF-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "it begins with the byte order mark of UTF-16"
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8", "it begins with the byte order mark of UTF-8"
    head = head[: 1 << 18]
    half = max(len(head) // 2, 1)
    odd, even = head[1::2].count(0) / half, head[::2].count(0) / half
    if odd > 0.4 and even < 0.1:
        return "utf-16-le", "every second byte is zero, as in UTF-16"
    if even > 0.4 and odd < 0.1:
        return "utf-16-be", "every second byte is zero, as in UTF-16"
    controls = len(head) - len(head.translate(None, bytes(set(range(32)) - {9, 10, 11, 12, 13})))
    if controls > 0.05 * len(head) and controls > 4:
        return "", "it holds many control characters"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            valid = any(b >= 0xC0 for b in head[: error.start])
            return ("utf-8", "damaged UTF-8") if valid else (LATIN, "it is not valid UTF-8")
    return "utf-8", "valid UTF-8"


class NotUtf8(Exception):
    """The file proved to be in another encoding after all; read it again as Latin-1."""


def as_utf8(blocks: Iterator[bytes], encoding: str, name: str, repairs: Repairs) -> Iterator[bytes]:
    """Recode blocks to UTF-8 with line feeds, without byte order mark and NUL bytes.

    Blocks of UTF-8 are passed on unchecked and may end within a character; `valid` checks whole lines.

    Args:
        blocks: bytes in `encoding`.
        encoding: a name from `encoding_of`.
        name: what messages call the file.
        repairs: counts NUL bytes and undecodable places.
    """
    if encoding == LATIN:
        texts: Iterator[bytes] = (codecs.charmap_decode(b, "strict", _LATIN)[0].encode() for b in blocks)
    elif encoding == "utf-8":
        texts = blocks
    else:
        texts = _recoded(blocks, encoding, name, repairs)
    first, returns = True, False
    for block in texts:
        if first:
            block = block.removeprefix(codecs.BOM_UTF8)
            returns = b"\n" not in block and block.count(b"\r") > 0
            first = False
        if returns and b"\n" not in block:
            block = block.replace(b"\r", b"\n")  # line ends of old Macs
        nulls = block.count(0)
        if nulls:
            repairs.add(name, "held NUL bytes, which were left out", nulls)
            block = block.replace(b"\0", b"")
        if block:
            yield block


def _recoded(blocks: Iterator[bytes], encoding: str, name: str, repairs: Repairs) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for block in blocks:
        text = decoder.decode(block)
        repairs.add(name, _BROKEN, text.count("\ufffd"))
        yield text.encode("utf-8", "replace")
    text = decoder.decode(b"", True)
    repairs.add(name, _BROKEN, text.count("\ufffd"))
    yield text.encode("utf-8", "replace")


_BROKEN = "held broken characters, replaced by \N{REPLACEMENT CHARACTER}"


def valid(lines: bytes, seen: bool, name: str, repairs: Repairs) -> tuple[bytes, bool]:
    """Check that whole lines are UTF-8.

    Args:
        lines: the bytes.
        seen: whether a character beyond ASCII stood before them.
        name: what messages call the file.
        repairs: counts broken characters.

    Returns:
        The lines, broken characters replaced, and whether any character beyond ASCII was seen so far.

    Raises:
        NotUtf8: where the first such byte is none, so that the file is in another encoding.
    """
    if lines.isascii():
        return lines, seen
    try:
        lines.decode()
    except UnicodeDecodeError as error:
        if not seen and lines[: error.start].isascii():
            raise NotUtf8 from error
        text = lines.decode("utf-8", "replace")
        repairs.add(name, _BROKEN, text.count("\ufffd"))
        return text.encode(), True
    return lines, True
