"""Series in the archives' own format."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from limpid.core.errors import DataError
from limpid.data.table import open_table

HEAD = "# made up\n@problemName Small\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n"


def written(folder: Path, text: str, name: str = "small.ts") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_classes_gaps_and_unequal_lengths(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, HEAD + "1.0,2.0,?:a\n\n# between\n 3 , 4e1:b\n"))
    assert table.columns == ("series", "class") and table.rows == 2
    assert table.target == "class" and table.task == "classification"
    assert table.read().rows() == [([1.0, 2.0, None], "a"), ([3.0, 40.0], "b")]


def test_channels_of_unequal_lengths_are_filled_up(tmp_path: Path) -> None:
    head = "@dimensions 2\n@classLabel false\n@data\n"
    table = open_table(written(tmp_path, head + "1,2,3:4,5\n6:7\n"))
    assert table.target is None and table.columns == ("series",)
    assert table.read()["series"].to_list() == [[[1.0, 4.0], [2.0, 5.0], [3.0, None]], [[6.0, 7.0]]]


def test_regression_and_packing(tmp_path: Path) -> None:
    text = "@univariate true\n@targetLabel true\n@data\n1,2:0.5\n3,4:?\n"
    path = tmp_path / "small.ts.gz"
    path.write_bytes(gzip.compress(text.encode()))
    table = open_table(path)
    assert table.target == "target" and table.task == "regression"
    assert table.read()["target"].to_list() == [0.5, None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, "no cases"),
        (HEAD + "1,x:a\n", "'x' is no number"),
        (HEAD + "1,2:c\n", "'c' is no class"),
        (HEAD + "1,2\n", "is no class"),
        (HEAD + "a\n", "label and no series"),
        (HEAD + "1,2:3,4:a\n", "2 channels instead of 1"),
        (HEAD.replace("Stamps false", "Stamps true") + "1:a\n", "time stamps"),
        (HEAD + "(0,1),(1,2):a\n", "time stamps"),
        (HEAD.replace("@univariate true", "@univariate maybe") + "1:a\n", "true or false"),
        (HEAD.replace("@data\n", "") + "1,2:a\n", "header ends without @data"),
        ("@problemName x\n@colour blue\n@data\n1\n", "@colour is no word"),
        ("@problemName x\n@dimensions 9999999\n@data\n1\n", "@dimensions"),
        ("@problemName x\n", "before @data"),
        ("@targetLabel true\n@data\n1,2:many\n", "'many' is no number"),
        ("one,two\n1,2\n", "does not begin as a .ts file"),
        ("", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError) as error:
        open_table(written(tmp_path, text))
    whole = str(error.value)
    assert said in whole
    assert "small.ts" in whole and error.value.fix


def test_lines_that_cannot_be_read_keep_their_place(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, HEAD + "1,2:a\n1,x:b\n3,4:b\n"), lenient=True)
    assert table.read().rows() == [([1.0, 2.0], "a"), (None, None), ([3.0, 4.0], "b")]
    assert list(table.unreadable) == [1] and "line 8" in table.unreadable[1]


def test_many_cases_and_wide_ones(tmp_path: Path) -> None:
    line = ",".join("0.125" for _ in range(30_000))
    table = open_table(written(tmp_path, HEAD + f"{line}:a\n{line}:b\n" * 50))
    assert table.rows == 100
    assert table.read(["series"])["series"].list.len().unique().to_list() == [30_000]


def test_the_archives_files(real_data: Callable[[str], Path]) -> None:
    for name, rows, steps, channels in (
        ("GunPoint", 50, 150, 1),
        ("ItalyPowerDemand", 67, 24, 1),
        ("BasicMotions", 40, 100, 6),
    ):
        table = open_table(real_data(f"ucr/{name}_TRAIN.ts"))
        cell = table.read(["series"])["series"][0].to_list()
        assert table.rows == rows and len(cell) == steps
        assert (len(cell[0]) if channels > 1 else 1) == channels
