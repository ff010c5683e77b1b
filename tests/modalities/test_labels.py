import polars as pl
import pytest

from limpid.core.contracts import Size
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.modalities.labels import Labels, LabelsSpec

SPEC = LabelsSpec(separator="|", min_count=1, max_labels=2)


@pytest.mark.parametrize("copies", [1, 70])
def test_each_frequent_label_is_a_feature(copies: int) -> None:
    encoder = Labels.fit(SPEC, pl.Series("g", ["a|b", "b", "c", None]))
    assert encoder.shape().numbers == ("g=b", "g=a", "g (others)")
    assert encoder.shape().can_miss == (False, False, True)
    parts = encoder.encode(pl.Series("g", ["b|a", "c|b|d|b", None, ""] * copies), Repairs())
    assert parts["numbers"].tolist() == [[1, 1, 0], [1, 0, 2], [0, 0, 0], [0, 0, 0]] * copies
    assert parts["missing"].tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]] * copies


def test_lists_need_no_separator() -> None:
    column = pl.Series("g", [["x", "y"], ["x"], [], None] * 5)
    spec, reasons = Labels.plan(LabelsSpec(), column_facts(column), Size(20, 2, "classification"))
    assert spec.separator == "" and set(reasons) == {"separator", "min_count", "max_labels"}
    encoder = Labels.fit(spec, column)
    assert encoder.vocabulary == ["x", "y"]
    assert encoder.encode(column.head(1), Repairs())["numbers"].tolist() == [[1, 1, 0]]
