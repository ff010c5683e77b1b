"""What a bundle is on the disk, and the checks that stand between a file of unknown origin and this process.

    manifest.json        format version; sha256 and size of each member; a digest of its own other bytes
    spec.json            which task and nets of limpid's own catalogues, with which settings and shapes
    encoders.json        what the columns' encoders and the task learnt
    weights.safetensors  tensors
    card.md              what the model is, for people

Five regular files of these names are all that is ever opened. A bundle names no code, no path and no address; it is
checked in the order of the list above, and each check uses the very bytes that are then used.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from limpid.core.errors import BundleError, RunError
from limpid.core.files import dump_json, load_json, sync_folder

FORMAT = 1
MANIFEST = "manifest.json"
MEMBERS = ("spec.json", "encoders.json", "weights.safetensors", "card.md")
_LIMITS = {
    MANIFEST: 64 << 10,
    "spec.json": 16 << 20,
    "encoders.json": 256 << 20,
    "weights.safetensors": 64 << 30,
    "card.md": 4 << 20,
}
_HEADER_LIMIT = 2 << 20
_TENSOR_LIMIT = 20_000
_DTYPES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}  # bytes
_AXES = 8
_VALUES = 250_000  # that a JSON member may hold whatever its size; further ones must take _BYTES_PER_VALUE each
_BYTES_PER_VALUE = 8
_LONGEST_MESSAGE = 400
_SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")  # the backslash itself not escaped

TensorTable = dict[str, tuple[str, tuple[int, ...]]]
"""Name of each tensor -> its type as safetensors calls it, and its shape."""


def refuse(what: str, where: str, *, expected: str = "a bundle as limpid wrote it") -> BundleError:
    """The error for a bundle that is not what it should be; what it quotes of the bundle is cut and made printable."""
    return BundleError(
        "".join(c if c.isprintable() else "?" for c in what[:_LONGEST_MESSAGE]),
        where=where,
        expected=expected,
        fix="restore the bundle from a copy, or train again; do not use this one",
    )


def pack(members: Mapping[str, bytes], version: str) -> dict[str, bytes]:
    """All files of a bundle, the manifest included.

    Args:
        members: content of each member of `MEMBERS`.
        version: of limpid.
    """
    assert set(members) == set(MEMBERS)
    manifest = {
        "limpid": version,
        "format": FORMAT,
        "members": {
            name: {"sha256": sha256(members[name]).hexdigest(), "size": len(members[name])} for name in MEMBERS
        },
    }
    manifest["digest"] = _own_digest(manifest)
    return {MANIFEST: dump_json(manifest).encode(), **members}


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle that is whole or absent: a temporary folder beside it takes its place.

    Raises:
        RunError: it cannot be written; what stood there before still does.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, content in files.items():
            with (temporary / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(temporary)
        if folder.exists():
            os.replace(folder, old)
        os.replace(temporary, folder)
        sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        raise RunError(
            f"the model could not be saved: {error.strerror or error}",
            where=str(folder),
            expected="a folder that can be written, with room on its disk",
            fix="free some room; the checkpoint is kept, so add --resume to the same command afterwards",
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read and verify all files of a bundle.

    Returns:
        the manifest, and the verified bytes of each member.

    Raises:
        BundleError: anything is missing, too large, changed, or of another version.
    """
    raw = _read_member(folder, MANIFEST, None)
    manifest = load_member(raw, str(folder / MANIFEST))
    sizes = _check_manifest(manifest, raw, str(folder / MANIFEST))
    members = {}
    for name in MEMBERS:
        content = _read_member(folder, name, sizes[name])
        if sha256(content).hexdigest() != manifest["members"][name]["sha256"]:
            raise refuse(f"{name} was changed after it was saved", str(folder / name))
        members[name] = content
    return manifest, members


def load_member(content: bytes, where: str) -> Any:
    """Parse a JSON member whose values are not many more than its bytes explain, and whose texts can be written again.

    An empty list takes three bytes in a file and seventy in memory, so a few megabytes of them would fill gigabytes.
    limpid writes all characters as they are, so an escaped surrogate is a lone one or none of limpid's.

    Raises:
        BundleError: it is not JSON as limpid writes it.
    """
    values = sum(content.count(sign) for sign in (b",", b"[", b"{"))
    if values > _VALUES + len(content) // _BYTES_PER_VALUE:
        raise refuse(f"it holds {values:,} values in {len(content):,} bytes", where)
    if _SURROGATE.search(content):
        raise refuse("it holds half a character", where)
    return load_json(content, BundleError, where=where)


def _check_manifest(manifest: Any, raw: bytes, where: str) -> dict[str, int]:
    if not isinstance(manifest, dict):
        raise refuse("the manifest is not a mapping", where)
    if type(manifest.get("format")) is not int or manifest["format"] != FORMAT:
        raise refuse(
            f"the bundle has format {manifest.get('format')!r}"[:120],
            where,
            expected=f"format {FORMAT}, which this version of limpid reads",
        )
    if set(manifest) != {"limpid", "format", "members", "digest"} or not isinstance(manifest["limpid"], str):
        raise refuse("the manifest holds other things than a manifest does", where)
    # The exact bytes count, so that no bit of the manifest can change unseen, white space included.
    if manifest["digest"] != _own_digest({k: v for k, v in manifest.items() if k != "digest"}) or raw != dump_json(
        manifest
    ).encode("utf-8", errors="replace"):
        raise refuse("the manifest was changed after it was saved", where)
    members = manifest["members"]
    if not isinstance(members, dict) or set(members) != set(MEMBERS):
        raise refuse("the manifest lists other members than a bundle has", where)
    sizes = {}
    for name, entry in members.items():
        if (
            not isinstance(entry, dict)
            or set(entry) != {"sha256", "size"}
            or not isinstance(entry["sha256"], str)
            or type(entry["size"]) is not int
            or not 0 <= entry["size"] <= _LIMITS[name]
        ):
            raise refuse(f"the manifest's entry of {name} is not one", where)
        sizes[name] = entry["size"]
    return sizes


def _own_digest(manifest: Mapping[str, Any]) -> str:
    return sha256(dump_json(manifest).encode("utf-8", errors="replace")).hexdigest()


def _read_member(folder: Path, name: str, size: int | None) -> bytes:
    """Read a regular file of the folder itself; links and special files are refused before a byte is read."""
    where = str(folder / name)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    limit = _LIMITS[name] if size is None else size
    try:
        if (folder / name).is_symlink():
            raise refuse(f"{name} is a link", where, expected="a regular file")
        descriptor = os.open(folder / name, flags)
        try:
            status = os.fstat(descriptor)
            # A file with a second name may be one from elsewhere that was linked to here.
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise refuse(f"{name} is not a regular file of its own", where, expected="a regular file, not a link")
            if status.st_size > limit or (size is not None and status.st_size != size):
                raise refuse(f"{name} has {status.st_size:,} bytes", where, expected=f"{limit:,} bytes")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise refuse(f"{name} cannot be read: {reason or error}", where) from error
    except MemoryError as error:
        raise refuse(f"{name} does not fit into memory: {limit:,} bytes", where) from error
    if len(content) > limit or (size is not None and len(content) != size):
        raise refuse(f"{name} changed while it was read", where)
    return content


def tensor_table(content: bytes, where: str) -> TensorTable:
    """Read a safetensors header before the library does: bounded, and nothing but tensors that fill the file.

    Raises:
        BundleError: it is not such a header.
    """
    length = int.from_bytes(content[:8], "little") if len(content) >= 8 else -1
    if not 2 <= length <= min(_HEADER_LIMIT, len(content) - 8):
        raise refuse("the weights' header has an impossible length", where)
    header = load_member(content[8 : 8 + length], where)
    if not isinstance(header, dict) or len(header) > _TENSOR_LIMIT:
        raise refuse("the weights' header is not one", where)
    table: TensorTable = {}
    places = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise refuse(f"the weights' header says of {name!r} other things than a header does", where)
        dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _DTYPES or not _sizes(shape, _AXES) or not _sizes(place, 2):
            raise refuse(f"the weights' header says of {name!r} what cannot be said of a tensor", where)
        if len(place) != 2 or place[1] - place[0] != math.prod(shape) * _DTYPES[dtype]:
            raise refuse(f"the weight {name!r} has another size than its shape and type", where)
        table[name] = (dtype, tuple(shape))
        places.append((place[0], place[1]))
    end = 0
    for begin, following in sorted(places):
        if begin != end:
            raise refuse("the weights overlap, or leave gaps between them", where)
        end = following
    if end != len(content) - 8 - length:
        raise refuse("the weights do not fill their file", where)
    return table


def _sizes(value: Any, most: int) -> bool:
    """Whether it is a short list of whole numbers from 0 to 2^63."""
    return isinstance(value, list) and len(value) <= most and all(type(v) is int and 0 <= v < 2**63 for v in value)
