"""Folders, archives and columns of files as tables, hostile ones included."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from limpid.core.errors import DataError
from limpid.data import cache
from limpid.data.sources.files import as_text
from limpid.data.table import open_parts, open_table, with_files

PNG = b"\x89PNG\r\n\x1a\n"


def lay(base: Path, *paths: str) -> Path:
    for path in paths:
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(PNG + path.encode())
    return base


def classes(base: Path) -> Path:
    return lay(base, *(f"{c}/{n}.png" for c in ("cat", "dog") for n in range(3)))


def test_a_folder_for_each_class_gives_labels(tmp_path: Path) -> None:
    table = open_table(str(classes(tmp_path)))
    assert table.columns == ("path", "image", "label")
    assert table.target == "label" and table.places == ("path",) and table.heavy == {"image"}
    frame = table.read()
    assert frame["label"].to_list() == ["cat"] * 3 + ["dog"] * 3
    assert frame["image"][4] == PNG + b"dog/1.png"
    assert table.read(["image"], rows=np.array([1, 5]))["image"].to_list() == [
        PNG + b"cat/1.png",
        PNG + b"dog/2.png",
    ]


@pytest.mark.parametrize(("valid", "test"), [("valid", "test"), ("val", "Testing"), ("validation", "test")])
def test_folders_of_parts_are_parts(tmp_path: Path, valid: str, test: str) -> None:
    for part in ("train", valid, test):
        classes(tmp_path / part)
    parts = open_parts(str(tmp_path))
    assert list(parts) == ["train", "valid", "test"]
    assert parts["valid"].read(["label"])["label"].to_list() == ["cat"] * 3 + ["dog"] * 3
    assert parts["test"].read(["path"])["path"][0] == f"{test}/cat/0.png"
    whole = open_table(str(tmp_path))
    assert whole.rows == 18 and whole.target == "label" and whole.places == ("path",)


def test_files_in_no_folder_have_no_label(tmp_path: Path) -> None:
    table = open_table(str(lay(tmp_path, "a.png", "b.png", "notes.md", ".hidden.png")))
    assert table.columns == ("path", "image") and table.target is None and table.rows == 2
    assert any("1 other files" in note for note in table.notes)


def test_a_class_called_train_alone_is_a_class(tmp_path: Path) -> None:
    table = open_parts(str(lay(tmp_path, "train/1.png", "bus/1.png")))
    assert list(table) == ["train"]
    assert table["train"].read(["label"])["label"].to_list() == ["bus", "train"]


def test_texts_are_read_as_words(tmp_path: Path) -> None:
    for name, content in (
        ("good/1.txt", "très bon".encode()),
        ("good/2.txt", "tr\xe8s bon".encode("latin-1")),
        ("bad/1.txt", b"\xff\xfe" + "mal".encode("utf-16-le")),
        ("bad/2.txt", b""),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    table = open_table(str(tmp_path))
    assert table.columns == ("path", "text", "label") and not table.heavy
    assert table.read(["text"])["text"].to_list() == ["mal", None, "très bon", "très bon"]


def test_a_text_with_a_nul_stays_text() -> None:
    assert as_text(b"\xef\xbb\xbfa\0b ") == "a b"


def test_a_folder_of_nothing_says_what_it_could_hold(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_bytes(b"x")
    with pytest.raises(DataError, match="holds no tables") as caught:
        open_table(str(tmp_path))
    assert ".csv" in caught.value.expected


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    base = classes(tmp_path / "a")
    try:
        (base / "loop").symlink_to(base, target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    assert open_table(str(base)).rows == 6


def test_a_file_that_went_away_is_a_missing_cell(tmp_path: Path) -> None:
    table = open_table(str(classes(tmp_path)))
    (tmp_path / "cat" / "1.png").unlink()
    assert table.read(["image"])["image"].null_count() == 1


def test_stand_ins_find_copies_without_reading_cells_twice(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/1.png", "b/2.png")
    (tmp_path / "b" / "2.png").write_bytes((tmp_path / "a" / "1.png").read_bytes())
    frame = open_table(str(tmp_path)).look()
    assert frame.schema["image"] == pl.String
    assert frame["image"][0] == frame["image"][2] != frame["image"][1]


def test_gather_reads_only_wanted_files(tmp_path: Path) -> None:
    table = open_table(str(classes(tmp_path)))
    (tmp_path / "cat" / "0.png").unlink()
    pieces = list(table.gather(["image", "label"], np.array([1, 3, 5]), 2))
    assert [p.height for p in pieces] == [2, 1]
    assert pl.concat(pieces)["image"].null_count() == 0


def test_the_digest_changes_with_the_files(tmp_path: Path) -> None:
    first = open_table(str(classes(tmp_path))).digest()
    assert open_table(str(tmp_path)).digest() == first
    (tmp_path / "cat" / "0.png").write_bytes(PNG + b"another length")
    assert open_table(str(tmp_path)).digest() != first


# -- tables that name files -----------------------------------------------------------------------------------------


def test_a_column_of_names_is_read_as_files(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "t.csv").write_text("file,y\ncat/0.png,1\ndog/2.png,2\nnone.png,3\n,4\n")
    table = open_table(str(tmp_path / "t.csv"))
    assert table.heavy == {"file"}
    assert table.read(["file"])["file"].to_list() == [PNG + b"cat/0.png", PNG + b"dog/2.png", b"", None]
    assert table.names_of("file").to_list() == ["cat/0.png", "dog/2.png", "none.png", None]


def test_names_of_nothing_stay_words_unless_the_user_says_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,y\nx.png,1\nz.png,2\n")
    table = open_table(str(tmp_path / "t.csv"))
    assert not table.heavy
    assert with_files(table, ["file"], tmp_path).read(["file"])["file"].to_list() == [b"", b""]


def test_devices_and_folders_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file\n/dev/zero\n.\n")
    table = with_files(open_table(str(tmp_path / "t.csv")), ["file"], tmp_path)
    assert table.read()["file"].to_list() == [b"", b""]


def test_a_struct_of_bytes_and_path_is_the_bytes(tmp_path: Path) -> None:
    cells = [{"bytes": PNG, "path": "a.png"}, {"bytes": None, "path": "b.png"}, None]
    pl.DataFrame({"image": cells, "label": ["a", "b", "a"]}).write_parquet(tmp_path / "t.parquet")
    table = open_table(str(tmp_path / "t.parquet"))
    assert table.schema["image"] == pl.Binary
    assert table.read(["image"])["image"].to_list() == [PNG, None, None]


def test_arrays_of_pictures_and_of_series() -> None:
    pictures = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)
    table = open_table({"image": pictures, "curve": np.ones((2, 5)), "channels": np.ones((2, 5, 2))})
    cell = np.load(io.BytesIO(table.read(["image"])["image"][1]), allow_pickle=False)
    assert (cell == pictures[1]).all()
    assert table.schema["curve"] == pl.List(pl.Float64) and table.schema["channels"] == pl.List(pl.List(pl.Float64))
    assert open_table(pictures).columns == ("image",)


# -- archives -------------------------------------------------------------------------------------------------------


def zipped(path: Path, members: dict[str, bytes], **options: int) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


MEMBERS = {f"{c}/{n}.png": PNG + f"{c}{n}".encode() for c in ("cat", "dog") for n in range(3)}


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz", "tar.xz"])
def test_an_archive_is_a_folder(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"pictures.{kind}"
    if kind == "zip":
        zipped(path, MEMBERS)
    else:
        tarred(path, MEMBERS, {"tar": "w", "tgz": "w:gz", "tar.xz": "w:xz"}[kind])
    table = open_table(str(path))
    assert table.target == "label"
    assert table.read(["image"], rows=np.array([4]))["image"][0] == MEMBERS["dog/1.png"]
    again = open_table(str(path))
    assert again.digest() == table.digest()


def test_parts_in_an_archive(tmp_path: Path) -> None:
    members = {f"{part}/{name}": content for part in ("train", "test") for name, content in MEMBERS.items()}
    assert list(open_parts(str(zipped(tmp_path / "a.zip", members)))) == ["train", "test"]


@pytest.mark.parametrize(
    "name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:/evil.png", "..\\evil.png", "__MACOSX/._1.png"]
)
def test_a_name_cannot_lead_out(tmp_path: Path, name: str) -> None:
    before = {p for p in tmp_path.rglob("*")}
    table = open_table(str(zipped(tmp_path / "a.zip", {**MEMBERS, name: PNG})))
    assert table.rows == 6
    assert [r.count for r in table.repairs] == [1]
    assert {p for p in tmp_path.rglob("*")} - before == {tmp_path / "a.zip"}
    assert not list(cache.folder().rglob("*evil*"))


def test_links_and_devices_are_passed_over(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar", MEMBERS)
    with tarfile.open(path, "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo("cat/link.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    table = open_table(str(path))
    assert table.rows == 6
    assert next(iter(table.repairs)).count == 4


def test_a_link_in_a_zip_is_passed_over(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", MEMBERS)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("cat/link.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert open_table(str(path)).rows == 6


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "a.zip", {"a/1.png": bytes(200 << 20)}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(DataError, match="refused"):
        open_table(str(bomb))
    assert not any(p.name.startswith("making-") for p in cache.folder().iterdir())


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b[:40] + b"\xff" * 40 + b[80:], lambda b: b[:60]]
)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_damaged_archive_is_refused(tmp_path: Path, kind: str, damage) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"a.{kind}"
    members = {name: np.random.default_rng(n).bytes(3_000) for n, name in enumerate(MEMBERS)}
    if kind == "zip":
        zipped(path, members)
    else:
        tarred(path, members, "w:gz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="archive cannot be read"):
        open_table(str(path)).read()


def test_an_archive_of_other_things_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no tables"):
        open_table(str(zipped(tmp_path / "a.zip", {"notes.md": b"x"})))
    with pytest.raises(DataError, match="Excel"):
        open_table(str(zipped(tmp_path / "a.xlsx", {"xl/workbook.xml": b"x"})))


def test_a_damaged_cache_entry_is_made_anew(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {**MEMBERS, "own.txt": b"unique to this test"})
    before = set(cache.folder().glob("files-*")) if cache.folder().exists() else set()
    open_table(str(path))
    entry = next(iter(set(cache.folder().glob("files-*")) - before))
    (entry / "files.json").write_text("{")
    with pytest.raises(DataError, match="run again"):
        open_table(str(path))
    assert open_table(str(path)).rows == 6
