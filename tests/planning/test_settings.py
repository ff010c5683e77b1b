"""The settings tree: recipes, `--set`, budgets."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpid.core.errors import RequestError
from limpid.planning.settings import merge, parse_sets, parse_yaml, read_recipe, seconds, split_path

pytestmark = pytest.mark.slow


def test_sets_become_a_tree_with_typed_values():
    tree = parse_sets(["train.lr=0.01", "train.epochs=5", "data.columns.zip=category", "net.widths=[64, 32]"])
    assert tree == {
        "train": {"lr": 0.01, "epochs": 5},
        "data": {"columns": {"zip": "category"}},
        "net": {"widths": [64, 32]},
    }


def test_a_later_set_wins_and_a_mapping_is_merged():
    assert parse_sets(["train.lr=1", "train.lr=2"]) == {"train": {"lr": 2}}
    tree = parse_sets(["data.columns.zip=category", "data.columns.zip.missing=['x']"])
    assert tree == {"data": {"columns": {"zip": {"kind": "category", "missing": ["x"]}}}}


def test_a_column_with_dots_is_quoted():
    assert split_path("data.columns.'a.b'.kind") == ["data", "columns", "a.b", "kind"]


@pytest.mark.parametrize(
    "text", ["train.lr", "=3", "", "nonsense=1", "train.lr=[", "train.lr=!!python/object:os.system x"]
)
def test_malformed_sets_are_refused(text):
    with pytest.raises(RequestError):
        parse_sets([text])


def test_an_unknown_section_is_answered_with_the_nearest():
    with pytest.raises(RequestError) as caught:
        parse_sets(["trian.lr=1"])
    assert "'train'" in caught.value.fix


def test_aliases_that_would_explode_are_refused():
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\n"
    with pytest.raises(RequestError, match="alias"):
        parse_yaml(bomb, where="recipe")


def test_deep_nesting_is_refused():
    with pytest.raises(RequestError):
        parse_yaml("[" * 5000 + "]" * 5000, where="recipe")


def test_a_recipe_with_an_unknown_section_is_refused(tmp_path: Path):
    path = tmp_path / "plan.yaml"
    path.write_text("trainn: {lr: 1}\n")
    with pytest.raises(RequestError) as caught:
        read_recipe(path)
    assert "'train'" in caught.value.fix


def test_a_recipe_that_is_no_mapping_is_refused(tmp_path: Path):
    path = tmp_path / "plan.yaml"
    path.write_text("- 1\n")
    with pytest.raises(RequestError, match="mapping"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("text", "value"), [("60s", 60), ("2m", 120), ("1.5h", 5400), ("90", 90), (90, 90), (None, None)]
)
def test_budgets(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "-1", "0", "inf", "nan", "1d", "soon", "s"])
def test_impossible_budgets_are_refused(text):
    with pytest.raises(RequestError):
        seconds(text)


trees = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner), max_leaves=8
)


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=2), trees),
    st.dictionaries(st.text("abc", min_size=1, max_size=2), trees),
)
def test_merging_keeps_everything_that_is_not_overridden(base, over):
    merged = merge(base, over)
    assert set(merged) == set(base) | set(over)
    assert merge(base, {}) == base
    assert merge({}, over) == over
    assert merge(merged, over) == merged
