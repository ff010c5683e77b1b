"""How classes and labels are read, matched again, and written back."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpid.core.errors import BundleError, DataError, RequestError
from limpid.core.repairs import Repairs
from limpid.tasks.class_targets import Classes, LabelSets, OneColumn, YesNoColumns, learn_reader, reader_from_state


def learn(values, *, name="t", **settings):
    options = {"multi_label": False, "separator": "", "positive": None} | settings
    return learn_reader(pl.DataFrame({name: values}), **options)


@pytest.mark.parametrize(
    ("values", "names", "back"),
    [
        (["b", "a", "b"], ("a", "b"), ["b", "a", "b"]),
        ([10, 9, 2], ("2", "9", "10"), [10, 9, 2]),
        ([1.0, 0.5, 3.0], ("0.5", "1", "3"), [1.0, 0.5, 3.0]),
        ([True, False], ("false", "true"), [True, False]),
        (["10", "9", "2"], ("2", "9", "10"), ["10", "9", "2"]),
        (["007", "7"], ("007", "7"), ["007", "7"]),
        ([2**40, -1], ("-1", str(2**40)), [2**40, -1]),
        (pl.Series(["x", "y"], dtype=pl.Categorical), ("x", "y"), ["x", "y"]),
    ],
)
def test_classes_come_back_in_the_type_that_they_came_in(values, names, back):
    reader = learn(values)
    assert reader.names == names
    codes, misfit = reader.encode(pl.DataFrame({"t": values}), None)
    assert misfit is None
    assert reader.cells(codes)[0].to_list() == back
    assert reader.readable(codes) == back
    assert reader_from_state(reader.state()).cells(codes)[0].to_list() == back


@pytest.mark.parametrize(
    ("trained", "held"),
    [
        ([1, 2], ["1", "2.0"]),
        ([1, 2], [1.0, 2.0]),
        ([1.0, 2.0], ["1", " 2 "]),
        (["1", "2.0"], [1, 2]),
        ([False, True], ["False", "TRUE"]),
        ([False, True], [0, 1]),
        ([0, 1], [False, True]),
        (["false", "true"], [False, True]),
    ],
)
def test_one_class_in_two_spellings_is_one_class(trained, held):
    repairs = Repairs()
    codes, misfit = learn(trained).encode(pl.DataFrame({"t": held}), repairs)
    assert misfit is None and codes.tolist() == [0, 1]
    assert not len(repairs)


def test_case_blanks_and_a_full_stop_are_mended_and_counted():
    reader = learn(["<=50K", ">50K"])
    repairs = Repairs()
    codes, misfit = reader.encode(pl.DataFrame({"t": [">50K.", "<=50k", " >50K ", "<=50K"]}), repairs)
    assert misfit is None and codes.tolist() == [1, 0, 1, 0]
    (repair,) = repairs
    assert repair.count == 2 and repair.where == "t"


def test_classes_that_differ_by_case_alone_are_not_confused():
    reader = learn(["a", "A"])
    codes, misfit = reader.encode(pl.DataFrame({"t": ["a", "A", "a."]}), Repairs())
    assert codes.tolist() == [reader.names.index("a"), reader.names.index("A"), -1]
    assert misfit is not None and misfit.cell == "a."


def test_what_is_no_class_is_marked():
    reader = learn([1.0, 2.0])
    codes, misfit = reader.encode(pl.DataFrame({"t": [1.0, float("nan"), float("inf"), None, 3.0]}), None)
    assert codes.tolist() == [0, -1, -1, -1, -1]
    assert misfit.rows.tolist() == [False, True, True, True, True]
    with pytest.raises(DataError):
        learn([b"a", b"b"])


def test_the_positive_class_can_be_chosen():
    assert learn(["no", "yes"], positive="no").names == ("yes", "no")
    assert learn(["no", "yes"]).names == ("no", "yes")
    with pytest.raises(RequestError, match="cannot be the positive class"):
        learn(["no", "yes"], positive="maybe")
    with pytest.raises(RequestError):
        learn(["a", "b", "c"], positive="a")


@pytest.mark.parametrize("values", [["a", "a"], [None, None], []])
def test_a_single_class_is_an_error_that_says_so(values):
    with pytest.raises(DataError, match=r"the class 'a'|hold no class"):
        learn(pl.Series(values, dtype=pl.String))


def test_label_sets_of_text():
    reader = learn(["a|b", "b| c ", "a"], multi_label=True, separator="|")
    assert reader.names == ("a", "b", "c")
    repairs = Repairs()
    hot, misfit = reader.encode(pl.DataFrame({"t": ["c|a", "B.", "", "d|a", None]}), repairs)
    assert hot.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [-1, -1, -1], [-1, -1, -1]]
    assert misfit.cell == "d" and misfit.rows.tolist() == [False, False, False, True, True]
    assert [r.count for r in repairs] == [1]
    assert reader.cells(hot[:3])[0].to_list() == ["a|c", "b", ""]
    assert reader.readable(hot[:2]) == [["a", "c"], ["b"]]


def test_label_sets_of_lists_keep_their_type():
    reader = learn([[3, 1], [2], []], multi_label=True)
    hot, misfit = reader.encode(pl.DataFrame({"t": [[1], [], [2, 3, 3]]}), None)
    assert misfit is None and hot.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 1]]
    assert reader.cells(hot)[0].to_list() == [[1], [], [2, 3]]


def test_several_columns_of_two_values():
    frame = pl.DataFrame({"cat": ["no", "yes", "no"], "dog": [0, 0, 1]})
    reader = learn_reader(frame, multi_label=True, separator="", positive=None)
    assert isinstance(reader, YesNoColumns) and reader.names == ("cat", "dog")
    hot, misfit = reader.encode(frame, None)
    assert misfit is None and hot.tolist() == [[0, 0], [1, 0], [0, 1]]
    assert pl.DataFrame(reader.cells(hot > 0.5)).to_dict(as_series=False) == {
        "prediction_cat": ["no", "yes", "no"],
        "prediction_dog": [0, 0, 1],
    }
    _, misfit = reader.encode(pl.DataFrame({"cat": ["no"], "dog": [7]}), None)
    assert (misfit.column, misfit.cell) == ("dog", "7")
    with pytest.raises(DataError, match="'dog' holds 3 different values"):
        learn_reader(frame.with_columns(dog=pl.Series([0, 1, 2])), multi_label=True, separator="", positive=None)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_text_that_was_learnt_is_found_again(texts):
    column = pl.Series("t", texts, dtype=pl.String)
    classes = Classes.learn(column)
    repairs = Repairs()
    codes = classes.codes(column, repairs)
    assert not len(repairs)
    assert len(set(classes.names)) == len(classes.names)
    again = classes.codes(classes.cells(codes, "t"), repairs)
    assert (again == codes).all() and not len(repairs)
    if classes.names:
        assert Classes.from_state(classes.state()) == classes


@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=4), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_label_sets_are_sets(rows):
    if not any(rows):
        return
    column = pl.Series("t", rows, dtype=pl.List(pl.String))
    reader = LabelSets.learn(column, "")
    hot, misfit = reader.encode(column.to_frame(), None)
    assert misfit is None
    assert [sorted(set(row)) for row in rows] == reader.readable(hot)


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"mode": "classes"},
        {"mode": "other", "classes": {}},
        {"mode": "classes", "classes": {"names": ["a", "a"], "kind": "text"}},
        {"mode": "classes", "classes": {"names": [], "kind": "text"}},
        {"mode": "classes", "classes": {"names": ["a", 1], "kind": "text"}},
        {"mode": "classes", "classes": {"names": ["a", "b"], "kind": "integer"}},
        {"mode": "classes", "classes": {"names": ["1", "9" * 5000], "kind": "integer"}},
        {"mode": "classes", "classes": {"names": ["1", "inf"], "kind": "float"}},
        {"mode": "classes", "classes": {"names": ["true", "maybe"], "kind": "boolean"}},
        {"mode": "classes", "classes": {"names": ["a", "b"], "kind": "module"}},
        {"mode": "classes", "classes": {"names": "ab", "kind": "text"}},
        {"mode": "sets", "separator": 3, "labels": {"names": ["a"], "kind": "text"}},
        {"mode": "sets", "separator": "x" * 99, "labels": {"names": ["a"], "kind": "text"}},
        {"mode": "columns", "names": ["a"], "values": []},
        {"mode": "columns", "names": ["a"], "values": [{"names": ["x"], "kind": "text"}]},
        {"mode": "columns", "names": ["a", "a"], "values": [{"names": ["x", "y"], "kind": "text"}] * 2},
    ],
)
def test_a_hostile_state_is_refused(state):
    with pytest.raises(BundleError):
        reader_from_state(state)


def test_a_single_row_is_read_like_many():
    reader = learn(["a", "b"])
    assert isinstance(reader, OneColumn)
    assert reader.encode(pl.DataFrame({"t": ["B"]}), Repairs())[0].tolist() == [1]
    assert reader.encode(pl.DataFrame({"t": []}, schema={"t": pl.String}), None)[0].shape == (0,)
