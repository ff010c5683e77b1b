"""Each way of writing a table down gives the same rows, whatever their number, encoding and packing."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limpid.core.errors import DataError, RequestError
from limpid.data.samples import SAMPLES
from limpid.data.sources import delimited, jsonlines, store, stream
from limpid.data.sources.base import frame_digest, tidy
from limpid.data.sources.store import Room
from limpid.data.table import Table, open_table

pytestmark = pytest.mark.slow

FRAME = pl.DataFrame(
    {
        "a": [1, 2, None, 4],
        "b": [0.5, None, 2.5, 3.5],
        "c": ["x", "y z", None, "ü, q"],
        "d": [True, False, None, True],
    }
)


def _sqlite(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (a INTEGER, b REAL, c TEXT, d INTEGER)")
    connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", FRAME.rows())
    connection.commit()
    connection.close()


WRITERS: dict[str, Callable[[Path], object]] = {
    "t.csv": FRAME.write_csv,
    "t.tsv": lambda p: FRAME.write_csv(p, separator="\t"),
    "semicolon.csv": lambda p: FRAME.write_csv(p, separator=";"),
    "pipe.data": lambda p: FRAME.write_csv(p, separator="|"),
    "t.csv.gz": lambda p: p.write_bytes(gzip.compress(FRAME.write_csv().encode())),
    "t.csv.zst": lambda p: p.write_bytes(pa.Codec("zstd").compress(FRAME.write_csv().encode(), asbytes=True)),
    "t.jsonl": FRAME.write_ndjson,
    "t.jsonl.gz": lambda p: p.write_bytes(gzip.compress(FRAME.write_ndjson().encode())),
    "t.parquet": FRAME.write_parquet,
    "t.arrow": FRAME.write_ipc,
    "t.ipc": FRAME.write_ipc_stream,
    "t.feather": lambda p: feather.write_feather(FRAME.to_arrow(), p),
    "t.sqlite": _sqlite,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_cells(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    table = open_table(path)
    found = table.read()
    assert table.columns == ("a", "b", "c", "d") and table.rows == 4
    assert dict(found.schema) == dict(table.schema)
    assert not len(table.repairs)
    assert found["c"].to_list() == FRAME["c"].to_list()
    assert found["b"].cast(pl.Float64).to_list() == FRAME["b"].to_list()
    assert found["a"].cast(pl.Int64).to_list() == FRAME["a"].to_list()
    if ".csv" in name or ".tsv" in name or ".data" in name:
        assert set(found.dtypes) == {pl.String}
    assert len(table.digest()) == 64 == len(open_table(path).digest())


def test_a_file_without_suffix_is_known_by_its_content(tmp_path: Path) -> None:
    for name in ("t.parquet", "t.arrow", "t.sqlite", "t.csv.gz", "t.jsonl"):
        WRITERS[name](tmp_path / "plain")
        assert open_table(tmp_path / "plain").read()["c"].to_list() == FRAME["c"].to_list()
        (tmp_path / "plain").unlink()


@pytest.mark.parametrize("form", ["polars", "pandas", "arrays", "lists", "array"])
def test_frames_and_arrays(form: str) -> None:
    numbers = FRAME.select("a", "b")
    data = {
        "polars": FRAME,
        "pandas": pd.DataFrame({c: pd.Series(FRAME[c].to_list(), dtype="object") for c in FRAME.columns}),
        "arrays": {c: np.array(FRAME[c].to_list(), dtype=object) for c in FRAME.columns},
        "lists": {c: FRAME[c].to_list() for c in FRAME.columns},
        "array": numbers.to_numpy(),
    }[form]
    found = open_table(data).read()
    if form == "array":
        assert found.columns == ["column_1", "column_2"]
        assert found.rows() == numbers.cast(pl.Float64).rows()
    else:
        assert found.equals(FRAME)
        assert found.dtypes == FRAME.dtypes


def test_pandas_types() -> None:
    data = pd.DataFrame(
        {
            "category": pd.Categorical(["u", None, "v"]),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "flag": pd.array([True, None, False], dtype="boolean"),
            "float": [1.5, float("nan"), 2.5],
            "when": pd.to_datetime(["2024-01-05", None, "2024-03-01"]),
            "zone": pd.to_datetime(["2024-01-05 12:00", None, "2024-03-01 00:00"]).tz_localize("Europe/Berlin"),
            "text": ["p", None, " q "],
            "mixed": [1, "w", None],
            7: [1, 2, 3],
        }
    )
    table = open_table(data)
    found = table.read()
    assert found["category"].to_list() == ["u", None, "v"]
    assert found["nullable"].to_list() == [1, None, 3] and found["nullable"].dtype == pl.Int64
    assert found["flag"].to_list() == [True, None, False]
    assert found["float"].to_list() == [1.5, None, 2.5]
    assert found["when"].to_list() == [datetime(2024, 1, 5), None, datetime(2024, 3, 1)]
    assert found["zone"].to_list() == [datetime(2024, 1, 5, 11), None, datetime(2024, 2, 29, 23)]
    assert found["text"].to_list() == ["p", None, "q"]
    assert found["mixed"].to_list() == ["1", "w", None]
    assert found["7"].to_list() == [1, 2, 3]
    assert {r.where for r in table.repairs} == {"mixed", "zone"}
    assert data.columns[-1] == 7, "the caller's frame is untouched"


def test_arrays_of_other_types() -> None:
    data = {
        "half": np.array([1, 2], dtype=np.float16),
        "big-endian": np.array([1, 2], dtype=">i4"),
        "words": np.array(["x", "y"]),
        "days": np.array(["2024-01-05", "NaT"], dtype="datetime64[D]"),
        "masked": np.ma.masked_array([1, 2], mask=[False, True]),
        "dates": [date(2024, 1, 5), None],
        "tuples": [("u", "v"), ("w",)],
    }
    rows = open_table(data).read()
    assert rows.row(0) == (1.0, 1, "x", datetime(2024, 1, 5), 1, date(2024, 1, 5), ["u", "v"])
    assert rows.row(1) == (2.0, 2, "y", None, None, None, ["w"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros(3), "1 dimension"),
        (np.zeros((2, 2, 2, 2, 2)), "5 dimensions"),
        ({"a": [1, 2], "b": [1]}, "'b' has 1 rows"),
        ({"a": 3}, "'a' is int"),
        ({"a": [{"x": 1}]}, "nested"),
        ({}, "no rows"),
        (pl.DataFrame({"a": []}), "no rows"),
    ],
)
def test_frames_that_are_no_tables(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_table(data)  # type: ignore[arg-type]


def test_what_is_no_data_at_all() -> None:
    with pytest.raises(RequestError, match="int is no table"):
        open_table(3)  # type: ignore[call-overload, arg-type]


cell = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("\n\t\r"), max_size=12)
grid = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(cell, min_size=width, max_size=width), min_size=1, max_size=8)
)


@settings(max_examples=150, deadline=None)
@example(rows=[["", "\t"]], mark="\t", end="\n")
@given(rows=grid, mark=st.sampled_from(",;\t|"), end=st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_by_the_rules_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], mark: str, end: str
) -> None:
    width = len(rows[0])
    names = [f"name{k}" for k in range(width)]
    quoted = [mark.join('"' + c.replace('"', '""') + '"' for c in row) for row in [names, *rows]]
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes((end.join(quoted) + end).encode())
    table = open_table(path, header=True)
    expected = tidy(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row"))
    # A single column of quoted empty cells is a column of missing values; so is every cell of blanks.
    assert table.columns == tuple(names)
    assert table.read().rows() == expected.rows()


@pytest.mark.parametrize("block", [16, 37, 100, 1000])
def test_blocks_may_end_anywhere(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f'{k},"line {k}\nof ""{k}""",é{k}' if k % 3 else f"{k}, plain ,ü" for k in range(200)]
    rows[50] = "50,short"
    path = tmp_path / "t.csv"
    path.write_bytes(("id,text,more\n" + "\n".join(rows)).encode())
    whole = open_table(path, header=True).read()
    monkeypatch.setattr(stream, "BLOCK", block)
    monkeypatch.setattr(delimited, "_BEGINNING", 60)
    pieces = open_table(path, header=True)
    assert pieces.read().equals(whole)
    assert whole["id"].to_list() == [str(k) for k in range(200)]
    assert [r.count for r in pieces.repairs] == [1] and "line 85:" in next(iter(pieces.repairs)).example


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n1,2\n3,4\n", ("a", "b")),
        ("1,2\n3,4\n", ("column_1", "column_2")),
        ("39, State-gov, x\n50, Private, y\n", ("column_1", "column_2", "column_3")),
        ("label,text\nham,Go until\nspam,Free entry\n", ("label", "text")),
        ("ham,Go until\nspam,Free entry\nham,So\n", ("column_1", "column_2")),
        ("country,2010,2011,2012\nPeru,1,2,3\nChad,4,5,6\n", ("country", "2010", "2011", "2012")),
        ("0,1,2,3\n.1,.5,.2,.7\n", ("0", "1", "2", "3")),
        (",x,y\n0,1,2\n1,3,4\n", ("column_1", "x", "y")),
        ("x,y,z\nr1,1,2,3\nr2,3,4,5\n", ("column_1", "x", "y", "z")),
        ("when,v\n2024-01-05,a\n2024-01-06,b\n", ("when", "v")),
        ("2024-01-05,a\n2024-01-06,b\n", ("column_1", "column_2")),
    ],
)
def test_header_or_none(text: str, columns: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    table = open_table(tmp_path / "t.csv")
    assert table.columns == columns
    assert any("first row" in n or "no header" in n for n in table.notes)


def test_the_header_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\nc,d\n")
    assert open_table(tmp_path / "t.csv", header=True).rows == 1
    assert open_table(tmp_path / "t.csv", header=False).rows == 2


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str) -> None:
    table = open_table(f"sample:{name}")
    sample = SAMPLES[name]
    assert table.columns[-len(sample.targets) :] == sample.targets
    assert sample.target.split(",") == list(sample.targets)
    assert table.read().null_count().sum_horizontal().item() == 0
    assert str(table.rows) in sample.sentence.replace(",", "")


def test_an_unknown_sample() -> None:
    with pytest.raises(RequestError) as caught:
        open_table("sample:irsi")
    assert caught.value.fix == "did you mean 'iris'?"


class TestSeveralFiles:
    def files(self, folder: Path) -> Path:
        FRAME[:2].write_csv(folder / "a.csv")
        FRAME[2:].select("d", "c", "b", "a").write_csv(folder / "b.csv")
        (folder / "notes.md").write_text("hello")
        (folder / ".hidden.csv").write_text("hello")
        return folder

    @pytest.mark.parametrize("way", ["folder", "pattern", "deep pattern"])
    def test_are_one_table(self, way: str, tmp_path: Path) -> None:
        base = self.files(tmp_path)
        table = open_table({"folder": base, "pattern": base / "?.csv", "deep pattern": base / "**" / "[ab].csv"}[way])
        assert table.read()["c"].to_list() == FRAME["c"].to_list()
        assert table.read(["b"], np.array([1, 2])).rows() == [(None,), ("2.5",)]
        assert [r.what for r in table.repairs] == [
            "had the columns in another order, which were put in that of the first file"
        ]
        if way == "folder":
            assert any("1 entries" in n for n in table.notes)

    def test_types_are_widened_or_refused(self, tmp_path: Path) -> None:
        pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
        pl.DataFrame({"a": [1.5]}).write_parquet(tmp_path / "b.parquet")
        assert open_table(tmp_path).read()["a"].to_list() == [1.0, 1.5]
        pl.DataFrame({"a": [date(2024, 1, 5)]}).write_parquet(tmp_path / "c.parquet")
        with pytest.raises(DataError) as caught:
            open_table(tmp_path)
        assert "c.parquet, column 'a'" in caught.value.where

    def test_links_between_folders_do_not_loop(self, tmp_path: Path) -> None:
        base = self.files(tmp_path)
        (base / "x").symlink_to(base)
        (base / "y").symlink_to(base)
        assert open_table(base / "**" / "*.csv").rows == 4

    def test_a_headerless_part_follows_the_first(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("1,x\n2,y\n")
        (tmp_path / "b.csv").write_text("u,v\nw,z\n")
        assert open_table(tmp_path).rows == 4


class TestLargeFiles:
    @pytest.fixture
    def small_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store, "_PART_BYTES", 5_000)
        monkeypatch.setattr(stream, "BLOCK", 4_000)
        monkeypatch.setattr(delimited, "_BEGINNING", 4_000)
        monkeypatch.setattr(jsonlines, "_ROWS", 400)
        monkeypatch.setattr("limpid.data.table.Room", lambda: Room(0))

    @pytest.mark.usefixtures("small_room")
    @pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
    def test_move_into_the_cache_and_read_the_same(self, name: str, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        frame = pl.DataFrame(
            {"k": np.arange(3000), "x": rng.normal(size=3000), "t": [f"word {i % 9}" for i in range(3000)]}
        )
        (frame.write_csv if "csv" in name else frame.write_ndjson)(tmp_path / name)
        table = open_table(tmp_path / name)
        assert isinstance(table, store.StoredTable) and len(table._edges()) > 5
        again = open_table(tmp_path / name)
        assert again.digest() == table.digest() == stream.file_digest(tmp_path / name)
        assert again.notes == table.notes
        _reads_like(table, frame)

    @pytest.mark.usefixtures("small_room")
    def test_types_that_change_between_parts(self, tmp_path: Path) -> None:
        lines = [f'{{"a": {i}}}' for i in range(40_000)] + ['{"a": 0.5, "b": [1]}', '{"a": null, "b": []}']
        (tmp_path / "t.jsonl").write_text("\n".join(lines))
        table = open_table(tmp_path / "t.jsonl")
        assert dict(table.schema) == {"a": pl.Float64, "b": pl.List(pl.Int64)}
        assert table.read(rows=np.array([0, 39_999, 40_000, 40_001])).rows() == [
            (0.0, None), (39_999.0, None), (0.5, [1]), (None, [])
        ]  # fmt: skip
        assert table.read(["b"]).height == 40_002

    @pytest.mark.usefixtures("small_room")
    def test_a_changed_file_is_read_anew_and_a_damaged_copy_too(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        path.write_text("a,b\n1,2\n3,4\n")
        first = open_table(path)
        assert isinstance(first, store.StoredTable)
        path.write_text("a,b\n1,2\n3,5\n")
        assert open_table(path).read()["b"].to_list() == ["2", "5"]
        second = open_table(path)
        assert isinstance(second, store.StoredTable)
        part = second._folder / "000000.parquet"
        part.write_bytes(part.read_bytes()[:-1])
        del second
        assert open_table(path).read()["b"].to_list() == ["2", "5"]

    @pytest.mark.usefixtures("small_room")
    def test_a_full_disk_is_said_and_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise pl.exceptions.ComputeError("No space left on device")

        monkeypatch.setenv("LIMPID_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
        (tmp_path / "t.csv").write_text("a,b\n1,2\n")
        with pytest.raises(DataError, match="No space left") as caught:
            open_table(tmp_path / "t.csv")
        assert "LIMPID_CACHE" in caught.value.fix
        assert list((tmp_path / "cache").iterdir()) == []

    def test_parquet_and_arrow_are_read_where_they_are(self, tmp_path: Path) -> None:
        frame = pl.DataFrame({"k": np.arange(3000), "x": np.arange(3000) / 7, "t": ["w"] * 3000})
        frame.write_parquet(tmp_path / "t.parquet", row_group_size=700)
        frame.write_ipc(tmp_path / "t.arrow")
        for name in ("t.parquet", "t.arrow"):
            _reads_like(open_table(tmp_path / name), frame)


def _reads_like(table: Table, frame: pl.DataFrame) -> None:
    read = table.read().select(pl.col(c).cast(t) for c, t in frame.schema.items())
    assert read.equals(frame)
    rows = np.array([0, 1, 699, 700, 1500, 2999])
    assert table.read(["t", "k"], rows)["k"].cast(pl.Int64).to_list() == rows.tolist()
    assert table.read(["k"], np.array([], dtype=int)).shape == (0, 1)
    sizes = [c.height for c in table.chunks(["x"], 1024)]
    assert sizes == [1024, 1024, 952]
    assert pl.concat(list(table.chunks(rows_per_chunk=999))).equals(table.read())
    with pytest.raises(DataError, match="no column 'z'"):
        table.read(["z"])


def test_a_digest_knows_the_content_and_not_its_layout() -> None:
    one = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [[1], [], None]})
    pieces = pl.concat([one[:1], one[1:]], rechunk=False)
    assert frame_digest(one) == frame_digest(pieces)
    for other in (one.with_columns(a=pl.lit(1)), one.rename({"a": "A"}), one.with_columns(b=pl.Series(["x", "", "z"]))):
        assert frame_digest(other) != frame_digest(one)
    assert frame_digest(one.with_columns(pl.Series("b", ["xz", None, ""]))) != frame_digest(one)
    # Stands for all machines and versions: a change here makes old runs look as if their data had changed.
    assert frame_digest(pl.DataFrame({"a": [1, None], "b": ["é", ""]})) == GOLDEN


GOLDEN = "8d2c044ee57bd9b75d07642debfd7b356fa7e63d9abb62a3304f943c4f9b7957"


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("adult/adult-train.csv", 32_561, 15),
        ("adult/adult-test.csv", 16_281, 15),
        ("bike-sharing/bike.csv", 17_379, 15),
        ("california-housing/housing.csv", 20_640, 10),
        ("elec2/elec.csv", 45_312, 7),
        ("lending-loans/loans.csv", 10_000, 56),
        ("sms-spam/spam.csv", 5_572, 2),
        ("ag-news/news.csv", 3_800, 3),
        ("beijing-pm25/pollution.csv", 43_824, 13),
        ("insteval/InstEval.csv", 73_421, 8),
        ("air-passengers/airline-passengers.csv", 144, 2),
        ("sst2/train.tsv", 6_920, 2),
    ],
)
def test_real_tables(name: str, rows: int, columns: int, real_data: Callable[[str], Path]) -> None:
    table = open_table(real_data(name))
    assert (table.rows, len(table.columns)) == (rows, columns)
    assert not len(table.repairs)
    headerless = name.split("/")[0] in ("adult", "ag-news", "sst2")
    assert (table.columns[0] == "column_1") == headerless
    first = pd.read_csv(
        real_data(name), dtype=str, header=None if headerless else 0, sep="\t" if name.endswith("tsv") else ",",
        quoting=3 if name.endswith("tsv") else 0, encoding="latin-1", keep_default_na=False,
    )  # fmt: skip
    for k, column in enumerate(table.read().iter_columns()):
        expected = [c.strip() or None for c in first.iloc[:, k]]
        assert [c for c in column if c is not None and not c.isascii()] or column.to_list() == expected
