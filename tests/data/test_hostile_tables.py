"""Every way in which a table can be damaged or hostile ends in a counted repair or in an error with four parts."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from limpid.core.errors import DataError, LimpidError
from limpid.data.table import Table, open_table

pytestmark = pytest.mark.slow

Make = Callable[[Path], Path]


def text(content: str | bytes, name: str = "t.csv", encoding: str = "utf-8") -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return folder / name

    return make


ROWS = "".join(f"{i},name {i},{i / 7:.3f}\n" for i in range(40))
TABLE = "id,name,x\n" + ROWS


def repaired(table: Table) -> dict[str, int]:
    return {r.what: r.count for r in table.repairs}


# name -> (how the file is made, shape that comes out, part of the repair that must be counted or "")
MENDED: dict[str, tuple[Make, tuple[int, int], str, int]] = {
    "byte order mark": (text("\ufeff" + TABLE), (40, 3), "", 0),
    "UTF-16 with mark": (text(TABLE, encoding="utf-16"), (40, 3), "", 0),
    "UTF-16 without mark": (text(TABLE, encoding="utf-16-le"), (40, 3), "", 0),
    "UTF-32": (text(TABLE, encoding="utf-32"), (40, 3), "", 0),
    "Latin-1": (text(TABLE.replace("name", "né"), encoding="latin-1"), (40, 3), "", 0),
    "Latin-1 found late": (text(TABLE + ROWS * 9000 + "1,\xe9,2\n", encoding="latin-1"), (9001 * 40 + 1, 3), "", 0),
    "UTF-8 with one broken byte": (text((TABLE.replace("name 7", "é")).encode() + b"41,\xff,1\n"), (41, 3), "broken characters", 1),
    "UTF-16 cut in a character": (text(TABLE.encode("utf-16") + b"\x31"), (41, 3), "broken characters", 1),
    "NUL bytes": (text(TABLE.replace("name 3", "na\0me\0")), (40, 3), "NUL bytes", 22),
    "old Mac line ends": (text(TABLE.replace("\n", "\r")), (40, 3), "", 0),
    "Windows line ends": (text(TABLE.replace("\n", "\r\n")), (40, 3), "", 0),
    "no line end at the end": (text(TABLE.rstrip("\n")), (40, 3), "", 0),
    "blank lines between": (text(TABLE.replace("5,name 5,", "\n \n5,name 5,")), (40, 3), "blank lines", 2),
    "blank lines at the end": (text(TABLE + "\n\n\n"), (40, 3), "", 0),
    "short rows": (text(TABLE + "41\n42,b\n"), (42, 3), "too few cells", 2),
    "surplus empty cells": (text(TABLE + "41,b,3,,\n"), (41, 3), "surplus empty", 1),
    "trailing delimiter everywhere": (text(TABLE.replace("\n", ",\n")), (40, 4), "without a name", 1),
    "duplicate names": (text("a,a,a_2\n1,2,3\n4,5,6\n"), (2, 3), "two columns of one name", 1),
    "empty names": (text("a,,\n1,2,3\n4,5,6\n"), (2, 3), "without a name", 2),
    "a line break in a name": (text('a,"b\nc",d\n1,2,3\n4,5,6\n'), (2, 3), "line breaks", 1),
    "a name of a million characters": (text("a," + "b" * 1_000_000 + "\n1,2\n3,4\n"), (2, 2), "great length", 1),
    "a cell of a million characters": (text(TABLE + '41,"' + "long " * 200_000 + '",1\n'), (41, 3), "", 0),
    "ten thousand columns": (text(",".join(f"c{i}" for i in range(10_000)) + "\n" + (",".join(["1"] * 10_000) + "\n") * 3), (3, 10_000), "", 0),
    "line breaks and quotes in cells": (text('a,b\n1,"x\ny ""z"""\n2,"p,q"\n'), (2, 2), "", 0),
    "blanks around quotes": (text('a, b, c\n1, "x, y" , 2\n3, "z", 4\n'), (2, 3), "", 0),
    "backslash before quotes": (text('a,b\n1,"say \\"hi\\", she"\n2,"no"\n'), (2, 2), "", 0),
    "quotes as plain characters": (text('5" pipe,1\n6" pipe,2\n7",3\n' * 5), (15, 2), "", 0),
    "quotes that open and never pair": (text("word\ttag\n" + 'a\tO\n"\tO\n' * 5 + "b\tO\n" * 900 + '"\tO\n' + "c\tO\n" * 30), (941, 2), "", 0),
    "title lines before the table": (text("Report of 2024\n\n" + TABLE), (40, 3), "before the table", 2),
    "Excel's sep line": (text("sep=;\n" + TABLE.replace(",", ";")), (40, 3), "", 0),
    "decimal commas": (text("a;b\n1,5;2,5\n3,5;4,5\n"), (2, 2), "", 0),
    "inf and nan": (text("a,b\ninf,1\n-Infinity,2\nNaN,3\n"), (3, 2), "", 0),
    "thousands separators": (text('a,b\n"1,234",1\n"5,678,901",2\n'), (2, 2), "", 0),
    "dates in six formats": (text("d,v\n2024-01-05,1\n05/01/2024,2\n5 Jan 2024,3\nJan-2024,4\n20240105,5\n2024-01-05T10:00,6\n"), (6, 2), "", 0),
    "a column all empty": (text("a,b\n1,\n2,\n"), (2, 2), "", 0),
    "a constant column": (text("a,b\n1,x\n2,x\n"), (2, 2), "", 0),
    "one row": (text("a,b\n1,2\n"), (1, 2), "", 0),
    "one column": (text("a\n1\n\n3\n\n\n"), (3, 1), "", 0),
    "integers beyond 64 bits": (text("a,b\n123456789012345678901234567890,1\n2,2\n"), (2, 2), "", 0),
    "csv.gz": (text(gzip.compress(TABLE.encode()), "t.csv.gz"), (40, 3), "", 0),
    "gzip under a plain name": (text(gzip.compress(TABLE.encode()), "t.csv"), (40, 3), "", 0),
    "gzip of several members": (text(gzip.compress(TABLE.encode()) + gzip.compress(ROWS.encode()) + b"\0" * 64, "t.gz"), (80, 3), "", 0),
    "JSON lines with missing keys": (text('{"a": 1}\n\n{"b": "x"}\n{"a": 2.5, "b": null}\n', "t.jsonl"), (3, 2), "", 0),
    "JSON lines of mixed types": (text('{"a": 1}\n{"a": "x"}\n{"a": true}\n', "t.jsonl"), (3, 1), "several types", 2),
    "JSON lines of huge integers": (text('{"a": 1}\n{"a": ' + "9" * 40 + "}\n", "t.jsonl"), (2, 1), "beyond 64 bits", 1),
    "JSON lines with NaN": (text('{"a": NaN}\n{"a": 1.5}\n', "t.jsonl"), (2, 1), "", 0),
    "JSON lines with half surrogates": (text('{"a": "\\ud800x"}\n{"a": "y"}\n', "t.jsonl"), (2, 1), "broken characters", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", MENDED)
def test_is_read_and_every_repair_is_counted(case: str, tmp_path: Path) -> None:
    make, shape, repair, count = MENDED[case]
    table = open_table(make(tmp_path))
    frame = table.read()
    assert (table.rows, len(table.columns)) == frame.shape == shape
    assert len(set(table.columns)) == shape[1]
    if repair:
        [found] = [n for what, n in repaired(table).items() if repair in what]
        assert found == count
    else:
        assert repaired(table) == {}


def _zstd_bomb(folder: Path) -> Path:
    # One frame of run-length blocks: four bytes stand for 128 KiB of the letter a.
    size = 128 << 10
    block = (size << 3 | 1 << 1).to_bytes(3, "little") + b"a"
    last = (size << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"a"
    (folder / "t.csv.zst").write_bytes(b"\x28\xb5\x2f\xfd\x00\x58" + block * 80_000 + last)
    return folder / "t.csv.zst"


def _gzip_bomb(folder: Path) -> Path:
    engine = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"1,2,3\n" * (1 << 20)
    packed = engine.compress(b"a,b,c\n") + b"".join(engine.compress(block) for _ in range(8)) + engine.flush()
    (folder / "t.csv.gz").write_bytes(packed)
    return folder / "t.csv.gz"


def _parquet(folder: Path, *, cut: int | None = None, flip: int | None = None) -> Path:
    path = folder / "t.parquet"
    pl.DataFrame({"a": np.arange(500), "b": [f"t{i}" for i in range(500)]}).write_parquet(path)
    raw = bytearray(path.read_bytes())
    if flip is not None:
        raw[flip] ^= 0xFF
    path.write_bytes(bytes(raw[:cut]))
    return path


def _database(folder: Path, *statements: str) -> Path:
    path = folder / "t.sqlite"
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


def _torn_database(folder: Path) -> Path:
    path = _database(
        folder,
        "CREATE TABLE t (a, b)",
        *[f"INSERT INTO t VALUES ({i}, '{'x' * 200}')" for i in range(200)],
    )
    raw = bytearray(path.read_bytes())
    raw[4096 * 2 : 4096 * 6] = os.urandom(4096 * 4)
    path.write_bytes(bytes(raw))
    return path


def _loop(folder: Path) -> Path:
    (folder / "t.csv").symlink_to(folder / "t.csv")
    return folder / "t.csv"


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "t.csv")
    return folder / "t.csv"


def _pair(one: str, other: str) -> Make:
    def make(folder: Path) -> Path:
        (folder / "a.csv").write_text(one)
        (folder / "b.csv").write_text(other)
        return folder / "*.csv"

    return make


# name -> (how the file is made, words of the message, words of its place)
REFUSED: dict[str, tuple[Make, str, str]] = {
    "no such file": (lambda f: f / "nothing.csv", "no such file", "nothing.csv"),
    "an empty path": (lambda f: Path("\0"), "NUL", "DATA"),
    "an empty file": (text(""), "empty", "t.csv"),
    "a file of blanks": (text(" \n\t\n\n"), "blanks", "t.csv"),
    "a header and no rows": (text("a,b,c\n"), "no rows", "t.csv"),
    "a long row": (text(TABLE + "41,b,3,4\n"), "4 cells", "line 42"),
    "several long rows": (text(TABLE + "1,b,3,4\n2,b,1\n3,c,4,5,6\n"), "2 problems", "line 44"),
    "a quote that never closes": (text('a,b\n"x",1\n"y,2\n' + "z,3\n" * 50), "never closed", "line 3"),
    "a stray pair of quotes around rows": (text('a,b,c\n"u",1,2\n"x,1,2\n' + "z,3,4\n" * 50 + 'x",4,4\nw,1,1\n'), "look like rows", "line 3"),
    "a first row that never closes": (text('"a,b\n' + '"x",1\n' * 10), "after its closing quote", "line 1"),
    "text after a closing quote": (text('a,b\n"x",1\n"he said "hi" to me",2\n'), "after its closing quote", "line 3"),
    "a line that never ends": (text(b"a,b\n1,2\n" + b"x" * (40 << 20)), "does not end", "line 3"),
    "random bytes": (text(np.random.default_rng(0).bytes(5000)), "not look like a table", "t.csv"),
    "NUL bytes only": (text(b"\0" * 5000), "not look like a table", "t.csv"),
    "a picture": (text(b"\x89PNG\r\n\x1a\n" + b"x" * 99), "picture", "t.csv"),
    "an Excel file": (text(b"PK\x03\x04" + b"x" * 99), "ZIP", "t.csv"),
    "a pickle": (text(b"\x80\x04\x95" + b"x" * 99), "pickle", "t.csv"),
    "a numpy file": (text(b"\x93NUMPY" + b"x" * 99), "numpy", "t.csv"),
    "too many columns": (text(b"," * 200_000 + b"\n" + b"," * 200_000 + b"\n"), "200,001 cells", "t.csv"),
    "a gzip bomb": (_gzip_bomb, "200 times", "t.csv.gz"),
    "a zstd bomb": (_zstd_bomb, "200 times", "t.csv.zst"),
    "a cut gzip": (text(gzip.compress(TABLE.encode() * 50)[:-30], "t.csv.gz"), "ends too early", "t.csv.gz"),
    "a broken gzip": (text(gzip.compress(TABLE.encode())[:40] + b"\xff" * 90, "t.csv.gz"), "damaged", "t.csv.gz"),
    "a broken zstd": (text(b"\x28\xb5\x2f\xfd" + b"\xff" * 90, "t.csv.zst"), "damaged", "t.csv.zst"),
    "a loop of links": (_loop, "cannot be read", "t.csv"),
    "a pipe": (_pipe, "no regular file", "t.csv"),
    "a folder without tables": (lambda f: f, "holds no tables", "DATA"),
    "a pattern of nothing": (lambda f: f / "*.csv", "no file matches", "*.csv"),
    "an address": (lambda f: Path("s3://bucket/x.csv"), "no such file", "s3:"),
    "files of other columns": (_pair("a,b\n1,2\n", "a,c\n1,2\n"), "'b'", "b.csv, column 'b'"),
    "files of several kinds": (_pair("a,b\n1,2\n", '{"a": 1}\n'), "several kinds", "*.csv"),
    "broken JSON": (text('{"a": 1}\n{"a": \n', "t.jsonl"), "no JSON", "line 2"),
    "a JSON list": (text('[{"a": 1}]', "t.json"), "one JSON list", "t.json"),
    "nested JSON": (text('{"a": 1}\n{"a": {"x": 1}}\n', "t.jsonl"), "nested", "line 2, column 'a'"),
    "nested lists": (text('{"a": [1]}\n{"a": [[2]]}\n', "t.jsonl"), "nested", "line 2, column 'a'"),
    "lists and scalars": (text('{"a": [1]}\n{"a": 2}\n', "t.jsonl"), "holds lists", "line 2"),
    "a JSON key twice": (text('{"a": 1, "a": 2}\n', "t.jsonl"), "twice", "line 1"),
    "JSON of no object": (text('{"a": 1}\n3\n', "t.jsonl"), "not an object", "line 2"),
    "deeply nested JSON": (text('{"a": 1}\n{"a": ' + "[" * 100_000 + "\n", "t.jsonl"), "no JSON", "line 2"),
    "an integer of 10,000 digits": (text('{"a": ' + "9" * 10_000 + "}\n", "t.jsonl"), "no JSON", "line 1"),
    "cut Parquet": (lambda f: _parquet(f, cut=-5), "cannot be read", "t.parquet"),
    "Parquet with a broken footer": (lambda f: _parquet(f, flip=-40), "cannot be read", "t.parquet"),
    "text named .parquet": (text("a,b\n1,2\n", "t.parquet"), "does not begin", "t.parquet"),
    "cut Arrow": (text(b"ARROW1\0\0" + b"\xff" * 50, "t.arrow"), "cannot be read", "t.arrow"),
    "SQLite without tables": (lambda f: _database(f, "CREATE TABLE t (a)", "DROP TABLE t"), "no table", "t.sqlite"),
    "SQLite with an empty table": (lambda f: _database(f, "CREATE TABLE t (a)"), "no rows", "t.sqlite"),
    "SQLite with two tables": (lambda f: _database(f, "CREATE TABLE t (a)", "CREATE TABLE u (a)"), "2 tables", "t.sqlite"),
    "SQLite with a view only": (lambda f: _database(f, "CREATE VIEW t AS SELECT 1 AS a"), "no table", "t.sqlite"),
    "torn SQLite": (_torn_database, "cannot be read", "t.sqlite"),
    "an SQLite header alone": (text(b"SQLite format 3\0" + b"\xff" * 200, "t.db"), "cannot be read", "t.db"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_in_four_parts(case: str, tmp_path: Path) -> None:
    make, what, where = REFUSED[case]
    with pytest.raises(DataError) as caught:
        open_table(make(tmp_path)).read()
    assert what in caught.value.what and where in caught.value.where
    assert all(part.strip() for part in caught.value.parts().values())


def test_exactly_the_damaged_rows_are_reported(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    damaged = set(rng.choice(3000, 300, replace=False).tolist())
    lines = [f"{i},{i % 7}" if i in damaged else f"{i},{i % 7},w{i}" for i in range(3000)]
    table = open_table(text("\n".join(["id,k,w", *lines]))(tmp_path))
    assert repaired(table) == {"had rows with too few cells, filled with missing values": 300}
    frame = table.read()
    assert frame["id"].to_list() == [str(i) for i in range(3000)]
    assert set(frame.with_row_index().filter(pl.col("w").is_null())["index"].to_list()) == damaged


def test_rows_with_too_many_cells_are_all_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_table(text(TABLE + "1,2,3,4\n" * 30)(tmp_path))
    assert "and 25 more rows" in caught.value.what and "line 42" in caught.value.where


def test_an_sqlite_file_runs_nothing(tmp_path: Path) -> None:
    path = _database(
        tmp_path,
        "CREATE TABLE plain (a INTEGER, b TEXT, c GENERATED ALWAYS AS (abs(a)) VIRTUAL)",
        "INSERT INTO plain (a, b) VALUES (1, 'x'), (NULL, 'y')",
        "CREATE VIEW trap AS SELECT randomblob(10) AS a",
        "CREATE TRIGGER more AFTER INSERT ON plain BEGIN DELETE FROM plain; END",
    )
    before = path.read_bytes()
    table = open_table(str(path))
    assert table.read().rows() == [(1, "x"), (None, "y")]
    assert repaired(table) == {"had columns computed by the file itself, which were left out": 1}
    with pytest.raises(DataError, match="would run"):
        open_table(f"{path}::trap")
    with pytest.raises(DataError, match="no table 'plane'") as caught:
        open_table(f"{path}::plane")
    assert caught.value.fix == "did you mean 'plain'?"
    assert path.read_bytes() == before


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_is_a_table_or_an_error(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    kind = seed % 4
    if kind == 0:
        path, content = tmp_path / "t.csv", TABLE.encode()
    elif kind == 1:
        path, content = tmp_path / "t.csv.gz", gzip.compress(TABLE.encode())
    elif kind == 2:
        path = tmp_path / "t.jsonl"
        content = "".join(json.dumps({"a": i, "b": [str(i)], "c": i / 3}) + "\n" for i in range(60)).encode()
    else:
        path = _parquet(tmp_path)
        content = path.read_bytes()
    raw = bytearray(content)
    for at in rng.integers(0, len(raw), rng.integers(1, 6)):
        raw[at] = rng.integers(0, 256)
    if rng.random() < 0.5:
        raw = raw[: rng.integers(1, len(raw))]
    path.write_bytes(bytes(raw))
    with suppress(LimpidError):
        table = open_table(path)
        assert table.read().shape == (table.rows, len(table.columns))
