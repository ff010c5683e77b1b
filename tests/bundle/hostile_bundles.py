"""Bundles that someone made to do harm: the manifest is always right for the content, since an attacker counts anew.

A case is a name, a word for its family, and a function that writes the bundle into a folder. `may_load` says whether the
case may load after all: a changed leaf can still be a coherent model, a torch pickle in place of the weights cannot.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from limpid.bundle.format import MANIFEST, MEMBERS, pack

SPEC, ENCODERS, WEIGHTS, CARD = MEMBERS
ELSEWHERE = ("os:system", "../../etc/passwd", "file:///etc/passwd", "http://[::1]/", "builtins:eval", "a\x00b")
_LARGE = 1_000_000
LEAVES: tuple[tuple[str, Any], ...] = (
    ("null", None),
    ("-1", -1),
    ("0", 0),
    ("1e300", 1e300),
    ("-1e-300", -1e-300),
    ("empty text", ""),
    ("long text", "x" * _LARGE),
    ("list", []),
    ("object", {}),
    ("true", True),
    ("2**63", 2**63),
    ("2**4000", 2**4000),
    ("surrogate", "\ud800"),
    ("module", "os:system"),
    ("escape", "\x1b]0;gone\x07\x1b[2J"),
)

Members = dict[str, bytes]


@dataclass(frozen=True)
class Case:
    """One hostile bundle.

    Args:
        name: of this case alone.
        family: "corrupted" or "weaponised".
        write: writes it into a folder that does not exist yet.
        may_load: whether a coherent model is an answer too.
    """

    name: str
    family: str
    write: Callable[[Path], None]
    may_load: bool = False


def put(folder: Path, files: Members) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def packed(members: Members) -> Callable[[Path], None]:
    return lambda folder: put(folder, pack(members, "0.1.0"))


def with_tree(base: Members, member: str, tree: Callable[[], Any]) -> Callable[[Path], None]:
    """The same with another content of a JSON member, which is made when it is needed: there are thousands."""
    return lambda folder: put(folder, pack(base | {member: json.dumps(tree()).encode()}, "0.1.0"))


def corrupted(bases: dict[str, Members], seed: int) -> Iterator[Case]:
    """Damage that no attacker needs to think about: cut files, wrong headers, wrong leaves."""
    first = next(iter(bases.values()))
    yield from _cut(first, random.Random(seed))
    for name, content in _headers(first[WEIGHTS]):
        yield Case(f"weights: {name}", "corrupted", packed(first | {WEIGHTS: content}))
    for member in (SPEC, ENCODERS):
        for name, content in _texts(first[member]):
            yield Case(f"{member}: {name}", "corrupted", packed(first | {member: content}))
    for label, base in bases.items():
        for member in (SPEC, ENCODERS):
            yield from _leaves(label, base, member)
            yield from _keys(label, base, member)


def _cut(base: Members, generator: random.Random) -> Iterator[Case]:
    for member in (SPEC, ENCODERS, WEIGHTS):
        content = base[member]
        for n in range(16):
            end = len(content) * n // 16
            yield Case(f"{member}: cut at {n}/16", "corrupted", packed(base | {member: content[:end]}))
        spoilt = bytearray(content)
        for place in generator.sample(range(min(len(content), 400)), 3):
            spoilt[place] ^= 1 << generator.randrange(8)
        yield Case(f"{member}: three bits", "corrupted", packed(base | {member: bytes(spoilt)}), may_load=True)
        yield Case(f"{member}: more bytes", "corrupted", packed(base | {member: content + b"\0" * 9}))
        for other in (SPEC, ENCODERS, WEIGHTS):
            if other != member:
                yield Case(f"{member}: is {other}", "corrupted", packed(base | {member: base[other]}))


def _headers(weights: bytes) -> Iterator[tuple[str, bytes]]:
    """What can be wrong with a safetensors header."""
    length = int.from_bytes(weights[:8], "little")
    header, data = json.loads(weights[8 : 8 + length]), weights[8 + length :]
    tensors = [name for name in header if name != "__metadata__"]
    tensors.sort(key=lambda n: header[n]["data_offsets"])
    first, last = tensors[0], tensors[-1]
    text = json.dumps(header)

    def whole(value: Any, content: bytes = data) -> bytes:
        encoded = (value if isinstance(value, str) else json.dumps(value)).encode()
        return len(encoded).to_bytes(8, "little") + encoded + content

    def with_(name: str, **changes: Any) -> bytes:
        return whole(header | {name: header[name] | changes})

    for wrong in (0, 1, length - 1, length + 1, len(weights), 1 << 31, 1 << 62, 1 << 63, (1 << 64) - 1):
        yield f"header length {wrong}", wrong.to_bytes(8, "little") + weights[8:]
    begin, end = header[first]["data_offsets"]
    for offsets in (
        [end, begin], [-1, end], [begin - 8, end], [begin, end + 4], [begin, 2**63], [2**63, 2**64], [2**64, 2**65],
        [begin, 1e300], [0.0, 4.0], [True, False], [None, None], ["0", "4"], [], [0], [0, 4, 8], {}, None, "0:4",
    ):  # fmt: skip
        yield f"offsets {offsets}", with_(first, data_offsets=offsets)
    yield "overlapping tensors", with_(last, data_offsets=header[first]["data_offsets"])
    for dtype in (
        "F64", "F16", "BF16", "I64", "I32", "U8", "BOOL", "F8_E4M3", "C64", "", "f32", "object", None, 1, [], "F32 ",
    ):  # fmt: skip
        if dtype != header[first]["dtype"]:
            yield f"dtype {dtype!r}", with_(first, dtype=dtype)
    shape = header[first]["shape"]
    for other in (
        [], [0], [-1], [1, *shape], shape[::-1] if len(set(shape)) > 1 else [*shape, 2], [2**63], [2**32, 2**32], [2**62] * 3,
        [1e9], [True], None, "4", {}, [None], [1] * 100, [1] * 100_000, [2**4000],
    ):  # fmt: skip
        yield f"shape {str(other)[:40]} ({len(str(other))} characters)", with_(first, shape=other)
    yield "a tensor is missing", whole({n: v for n, v in header.items() if n != last})
    more = {"dtype": "F32", "shape": [1], "data_offsets": [len(data)] * 2}
    yield "one tensor more", whole(header | {"more": more})
    yield "an empty tensor more", whole(header | {"more": more | {"shape": [0]}})
    yield "a tensor and a key more", with_(first, url="http://127.0.0.1/")
    yield "a module as a name", whole({("os:system" if n == first else n): v for n, v in header.items()})
    yield "a key twice", whole(text[:-1] + f', "{first}": {json.dumps(header[first])}}}')
    yield "100,000 tensors", whole({f"t{n}": more for n in range(100_000)})
    yield "100,000 tensors of metadata", whole(header | {"__metadata__": {f"k{n}": "v" for n in range(100_000)}})
    yield "metadata that is a list", whole(header | {"__metadata__": [1]})
    yield "metadata of numbers", whole(header | {"__metadata__": {"a": 1}})
    yield "8 MB of blanks", whole(text + " " * (8 << 20))
    for name, broken in _json_bombs():
        yield f"header of {name}", whole(broken)
    for name, value in (("not a number", b"\x00\x00\xc0\x7f"), ("infinite", b"\x00\x00\x80\x7f")):
        start = next(v["data_offsets"][0] for v in header.values() if v.get("dtype") == "F32" and v["shape"] != [0])
        yield f"a weight is {name}", whole(header, data[:start] + value + data[start + 4 :])


def _json_bombs() -> Iterator[tuple[str, str]]:
    yield "10,000 lists in lists", "[" * 10_000 + "]" * 10_000
    yield "10,000 objects in objects", '{"a":' * 10_000 + "1" + "}" * 10_000
    yield "unclosed lists", "[" * 100_000
    yield "1e999", "1e999"
    yield "-1e999 in a list", "[-1e999]"
    yield "NaN", "NaN"
    yield "Infinity", "[Infinity]"
    yield "a lone surrogate", '"\\ud800"'
    yield "a key with a surrogate", '{"\\udfff": 1}'
    yield "5,000 digits", "1" * 5_000
    yield "a key twice", '{"a": 1, "a": 2}'
    yield "nothing", ""
    yield "null", "null"
    yield "a list", "[]"
    yield "an object", "{}"
    yield "a text", '"task"'
    yield "a comment", "// {}"
    yield "a byte order mark", "\ufeff{}"


def _texts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """What can be wrong with a JSON member as a whole."""
    text = content.decode()
    for name, bomb in _json_bombs():
        yield name, bomb.encode()
        yield f"{name}, as the first value", (text[: text.index(":") + 1] + (bomb or '""') + "}").encode()
    yield "UTF-16", text.encode("utf-16")
    yield "Latin-1", text.replace("{", '{"é": 1, ', 1).encode("latin-1")
    yield "a broken UTF-8 byte", content.replace(b'"', b'"\xff', 1)
    yield "a zero byte", content + b"\0"
    yield "two documents", content + content
    yield "many empty lists", b"[" + b"[]," * 3_000_000 + b"1]"
    yield "many empty objects", b'{"columns": [' + b"{}," * 3_000_000 + b'1], "task": 1}'
    yield "many numbers", b"[" + b"7.5," * 2_000_000 + b"1]"
    yield "many keys", b"{" + b",".join(b'"%d":1' % n for n in range(300_000)) + b"}"


def walk(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Paths of all leaves and branches; of a list only its first and last value."""
    if path:
        yield path, tree
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from walk(value, (*path, key))
    elif isinstance(tree, list):
        for place in sorted({0, len(tree) - 1} if tree else ()):
            yield from walk(tree[place], (*path, place))


def replaced(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    key, *rest = path
    copied = dict(tree) if isinstance(tree, dict) else list(tree)
    copied[key] = replaced(tree[key], tuple(rest), value) if rest else value
    return copied


def _dumped(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def _leaves(label: str, base: Members, member: str) -> Iterator[Case]:
    tree = json.loads(base[member])
    for path, old in walk(tree):
        for name, new in LEAVES:
            if type(new) is not type(old) or new != old:
                write = with_tree(base, member, partial(replaced, tree, path, new))
                place = ".".join(map(str, path))
                yield Case(f"{label}: {member}: {place} = {name}", "corrupted", write, may_load=True)


def _keys(label: str, base: Members, member: str) -> Iterator[Case]:
    """One key too many, and one too few, in every object."""
    tree = json.loads(base[member])
    for path, old in [((), tree), *walk(tree)]:
        if not isinstance(old, dict):
            continue
        place = ".".join(map(str, path))
        for name, new in (
            *((f"without {k}", {n: v for n, v in old.items() if n != k}) for k in old),
            ("and more", old | {"__class__": "os:system"}),
            ("and a renamed key", {(f"{k} " if n == 0 else k): v for n, (k, v) in enumerate(old.items())} if old else {"a": 1}),
        ):  # fmt: skip
            write = with_tree(base, member, partial(replaced, tree, path, new))
            yield Case(f"{label}: {member}: {place} {name}", "corrupted", write, may_load=True)


# -- what someone thought about ----------------------------------------------------------------------------------


def weaponised(base: Members, outside: Path) -> Iterator[Case]:
    """Bundles made to run code, to read elsewhere, or to fill the memory.

    Args:
        base: a good bundle's members.
        outside: a folder that no payload may touch; payloads would create a file `owned` in it.
    """
    made = [*_payloads(outside), *_places(base, outside)]
    for name, write in made:
        yield Case(name, "weaponised", write)
    for name, content in _containers(outside):
        for member in (SPEC, ENCODERS, WEIGHTS):
            yield Case(f"{name} as {member}", "weaponised", packed(base | {member: content}))
    for name, spec, encoders in _gigantic(json.loads(base[SPEC]), json.loads(base[ENCODERS])):
        content = base | {SPEC: _dumped(spec), ENCODERS: _dumped(encoders)}
        yield Case(f"gigantic {name}", "weaponised", packed(content))
    for name, path in (
        ("task", ("task", "name")), ("net", ("net", "name")), ("a further net", ("nets", "note", "name")),
        ("form", ("shapes", "fields", "form")), ("activation", ("net", "activation")), ("kind", ("target", "answer", "kind")),
    ):  # fmt: skip
        for elsewhere in ELSEWHERE:
            content = base | {SPEC: _dumped(replaced(json.loads(base[SPEC]), path, elsewhere))}
            yield Case(f"{name} {elsewhere!r}", "weaponised", packed(content))
    for elsewhere in ELSEWHERE:
        tree = replaced(json.loads(base[ENCODERS]), ("columns", "job", "column", "kind"), elsewhere)
        content = base | {ENCODERS: _dumped(tree)}
        yield Case(f"kind of column {elsewhere!r}", "weaponised", packed(content))
    for name, spec, encoders in _at_odds(json.loads(base[SPEC]), json.loads(base[ENCODERS])):
        content = base | {SPEC: _dumped(spec), ENCODERS: _dumped(encoders)}
        yield Case(f"at odds: {name}", "weaponised", packed(content))
    for name, manifest in _manifests(base):
        yield Case(f"manifest: {name}", "weaponised", lambda folder, m=manifest: put(folder, base | {MANIFEST: m}))


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, outside: Path) -> None:
        self.command = f"touch '{outside}/owned'"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def _containers(outside: Path) -> Iterator[tuple[str, bytes]]:
    import joblib
    import torch

    payload = Payload(outside)
    file = io.BytesIO()
    torch.save({"weight": payload}, file)
    yield "a torch pickle", file.getvalue()
    file = io.BytesIO()
    torch.save({"weight": payload}, file, _use_new_zipfile_serialization=False)
    yield "an old torch pickle", file.getvalue()
    file = io.BytesIO()
    joblib.dump(payload, file)
    yield "a joblib pickle", file.getvalue()
    yield "a pickle", pickle.dumps(payload)
    yield "a pickle with a header length", len(pickle.dumps(payload)).to_bytes(8, "little") + pickle.dumps(payload)
    file = io.BytesIO()
    np.savez(file, weight=np.array([payload], dtype=object))
    yield "an npz of objects", file.getvalue()
    file = io.BytesIO()
    np.save(file, np.array([payload], dtype=object))
    yield "an npy of objects", file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../owned", b"\0" * (16 << 20))
    yield "a zip bomb", file.getvalue()
    yield "YAML with a call", f"!!python/object/apply:os.system ['touch {outside}/owned']\n".encode()
    yield "YAML with an object", yaml.dump({"a": Path("/etc/passwd")}).encode()
    layer = {"module": "os", "class_name": "system", "config": {"command": f"touch {outside}/owned"}}
    keras = json.dumps({"module": "keras", "class_name": "Functional", "config": {"layers": [layer]}})
    yield "a keras config", keras.encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", keras)
    yield "a keras file", file.getvalue()
    yield "python", f"import os; os.system('touch {outside}/owned')".encode()
    yield "an HDF5 signature", b"\x89HDF\r\n\x1a\n" + bytes(200)


def _payloads(outside: Path) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Folders that hold no bundle at all."""
    for name, content in _containers(outside):
        yield f"{name} as the manifest", lambda folder, c=content: put(folder, {MANIFEST: c})
    yield "an empty folder", lambda folder: folder.mkdir()
    yield "a file", lambda folder: folder.write_bytes(b"not a folder") and None
    yield "nothing", lambda folder: None


def _places(base: Members, outside: Path) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Members that are not regular files of the folder itself, and names that lead out of it."""
    files = pack(base, "0.1.0")
    (outside / "copies").mkdir(exist_ok=True)
    for name, content in files.items():
        (outside / "copies" / name).write_bytes(content)

    def instead(name: str, make: Callable[[Path, Path], None]) -> Callable[[Path], None]:
        def write(folder: Path) -> None:
            put(folder, {n: c for n, c in files.items() if n != name})
            make(folder / name, outside / "copies" / name)

        return write

    for name in files:
        yield f"{name} is a link out", instead(name, lambda at, copy: at.symlink_to(copy))
        yield f"{name} is a hard link", instead(name, lambda at, copy: os.link(copy, at))
        yield f"{name} is a link to itself", instead(name, lambda at, copy: at.symlink_to(at))
        yield f"{name} is a link to a device", instead(name, lambda at, copy: at.symlink_to("/dev/zero"))
        yield f"{name} is a pipe", instead(name, lambda at, copy: os.mkfifo(at))
        yield f"{name} is a folder", instead(name, lambda at, copy: at.mkdir())
        yield f"{name} is missing", instead(name, lambda at, copy: None)
    for name in (*MEMBERS, MANIFEST):
        yield f"a sparse {name}", instead(name, _sparse)


def _at_odds(spec: dict[str, Any], encoders: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Parts of which each is right and which do not belong together."""
    backwards = {k: dict(reversed(spec[k].items())) for k in ("shapes", "forms")}
    yield "inputs in another order", spec | backwards, encoders
    yield "no columns", spec | {"shapes": {}, "forms": {}, "nets": {}}, encoders | {"columns": {}}
    yield "a net for no input", replaced(spec, ("nets", "other"), spec["nets"]["note"]), encoders
    yield (
        "a net of the user's own for a further input",
        replaced(spec, ("nets", "note"), {"name": "external"}),
        encoders,
    )
    yield "the text's net for the table", spec | {"net": spec["nets"]["note"]}, encoders
    yield "no target", spec | {"target": {}}, encoders
    yield "a target of a kind that is none", replaced(spec, ("target", "answer", "kind"), "kind"), encoders
    for kind in ("key", "constant"):
        column = {"column": {"kind": kind}, "state": {"name": "more"}}
        yield f"a {kind} column", spec, replaced(encoders, ("columns", "more"), column)
        bare = replaced(column, ("state",), {})
        forms = replaced(spec, ("forms", "more"), "None")
        shapes = replaced(forms, ("shapes", "more"), {"form": "fields"})
        yield f"a {kind} column as an input", shapes, replaced(encoders, ("columns", "more"), bare)
    yield "a column that is not used", spec, replaced(encoders, ("columns", "age", "column", "use"), False)
    yield "a text by another name", spec, replaced(encoders, ("columns", "note", "state", "name"), "other")
    yield (
        "a regression's state",
        spec,
        encoders | {"task": {"names": ["answer"], "scales": [], "stretch": [], "widths": None}},
    )
    yield "rows that are true", spec | {"rows": True}, encoders
    yield "rows that are a text", spec | {"rows": "60"}, encoders
    yield "rows without end", spec | {"rows": 2**64}, encoders


def _sparse(at: Path, copy: Path) -> None:
    at.touch()
    os.truncate(at, 20 << 30)


def _manifests(base: Members) -> Iterator[tuple[str, bytes]]:
    """Manifests whose digest is right for what they say."""
    good = json.loads(pack(base, "0.1.0")[MANIFEST])

    def signed(tree: dict[str, Any]) -> bytes:
        body = {k: v for k, v in tree.items() if k != "digest"}
        text = json.dumps(body, indent=1, ensure_ascii=False)
        body["digest"] = sha256(text.encode("utf-8", errors="replace")).hexdigest()
        return json.dumps(body, indent=1, ensure_ascii=False).encode("utf-8", errors="replace")

    for format in (0, 2, -1, 10**9, None, "1", 1.5, True, [1], 2**4000):
        yield f"format {str(format)[:20]}", signed(good | {"format": format})
    entry = good["members"][WEIGHTS]
    for name in ("../secret", "/etc/passwd", "..\\secret", "weights.pt", "a/../../b", "C:\\x", "a\0b", "http://[::1]/"):
        yield f"a member {name!r}", signed(good | {"members": good["members"] | {name: entry}})
        renamed = {(name if n == WEIGHTS else n): e for n, e in good["members"].items()}
        yield f"the weights called {name!r}", signed(good | {"members": renamed})
    for size in (0, -1, 2**62, 2**70, 1.0, True, None, "12", entry["size"] + 1):
        yield f"size {str(size)[:20]}", signed(good | {"members": good["members"] | {WEIGHTS: entry | {"size": size}}})
    for digest in ("", "0" * 64, None, 0, entry["sha256"].upper(), [], {}):
        yield f"sha256 {digest!r}", signed(good | {"members": good["members"] | {WEIGHTS: entry | {"sha256": digest}}})
    yield "a further key", signed(good | {"code": "import os"})
    yield "no members", signed(good | {"members": {}})
    yield "members that are a list", signed(good | {"members": list(good["members"])})
    yield "a number in place of the version", signed(good | {"limpid": 1})
    yield "an object in place of the version", signed(good | {"limpid": {"a": [1] * 1000}})
    for name, bomb in _json_bombs():
        yield name, bomb.encode()


def _gigantic(spec: dict[str, Any], encoders: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Networks and encoders that would fill the memory, with spec.json and encoders.json in agreement."""
    for field, values in {
        "members": (256, 257, 10**9), "width": (8192, 8193, 10**12), "depth": (32, 33, 10**9), "bins": (4096, 10**9),
        "number_width": (1024, 10**9), "category_width": (1025, 10**9), "frequencies": (4096, 10**9),
    }.items():  # fmt: skip
        for value in values:
            yield f"{field} of {value:,}", replaced(spec, ("net", field), value), encoders
    widest = spec["net"] | {"width": 8192, "depth": 32, "members": 256, "bins": 4096, "number_width": 1024}
    yield "everything", spec | {"net": widest}, encoders
    mlp = {"name": "mlp", "widths": [8192] * 64, "width": 8192, "depth": 64, "dropout": 0.1}
    shared = {k: spec["net"][k] for k in ("numbers", "number_width", "bins", "min_leaf")}
    yield "widths of an mlp", spec | {"net": mlp | shared}, encoders
    transformer = {"name": "ft_transformer", "width": 4096, "blocks": 64, "heads": 64}
    yield "blocks of a transformer", spec | {"net": transformer | shared}, encoders
    for buckets, length in ((2**22, 8192), (2**40, 64), (64, 2**40)):
        text = replaced(encoders, ("columns", "note", "column", "options", "buckets"), buckets)
        text = replaced(text, ("columns", "note", "column", "options", "max_tokens"), length)
        shape = replaced(spec, ("shapes", "note", "vocabulary"), buckets)
        shape = replaced(shape, ("shapes", "note", "length"), length)
        yield f"vocabulary of {buckets:,} and {length:,} tokens", shape, text
    for token_width in (4096, 10**9):
        yield f"token width of {token_width:,}", replaced(spec, ("nets", "note", "token_width"), token_width), encoders
    words = [f"w{n}" for n in range(100_000)]
    many = replaced(encoders, ("columns", "job", "state", "vocabulary"), words)
    many = replaced(many, ("columns", "job", "column", "options", "max_categories"), 100_000)
    yield "vocabulary", replaced(spec, ("shapes", "fields", "cardinalities", 0), 100_002), many
    more = replaced(many, ("columns", "job", "state", "vocabulary"), [*words, "more"])
    yield "vocabulary above its bound", spec, more
    classes = replaced(encoders, ("task", "target", "classes", "names"), words)
    yield "number of classes", spec, replaced(classes, ("task", "shares"), [1e-5] * 100_000)
    column = encoders["columns"]["age"]
    columns = {f"c{n}": column | {"state": column["state"] | {"name": f"c{n}"}} for n in range(20_000)}
    shapes = spec["shapes"] | {"fields": {"form": "fields", "numbers": list(columns), "can_miss": [False] * 20_000,
                                          "categories": [], "cardinalities": []}}  # fmt: skip
    yield "number of columns", spec | {"shapes": shapes}, encoders | {"columns": columns}
    inputs = {f"n{n}": encoders["columns"]["note"] | {"state": {"name": f"n{n}"}} for n in range(5_000)}
    forms = spec["forms"] | dict.fromkeys(inputs, "seq")
    yield (
        "number of inputs",
        spec | {
            "forms": forms,
            "nets": dict.fromkeys(list(forms)[1:], spec["nets"]["note"]),
            "shapes": dict.fromkeys(forms, spec["shapes"]["note"]) | {"fields": spec["shapes"]["fields"]},
        },
        encoders | {"columns": encoders["columns"] | inputs},
    )  # fmt: skip
