"""Rates and gaps of groups are fairlearn's; levels follow from intervals; proxies are found."""

import fairlearn.metrics as oracle
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, log_loss, precision_score

from limpid.api.audit_rows import Subject
from limpid.auditing import fairness, proxies, unequal
from limpid.auditing.spans import Span
from limpid.core.errors import RequestError
from limpid.core.schema import ColumnSpec
from limpid.data.groups import Grouping, by_column, groupings, together

CATEGORY = ColumnSpec(kind="category")


def drawn(rows: int = 4_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Groups, truths, decisions and probabilities; group 2 is treated worse."""
    g = np.random.default_rng(seed)
    codes = g.choice(3, rows, p=[0.5, 0.3, 0.2])
    chance = g.beta(2, 3, rows)
    true = g.random(rows) < chance
    said = chance > np.where(codes == 2, 0.6, 0.4)
    return codes, true, said, chance


def table_of(codes: np.ndarray, true: np.ndarray, said: np.ndarray, chance: np.ndarray) -> fairness.Fairness:
    grouping = Grouping("g", codes, tuple(f"g{c}" for c in range(int(codes.max()) + 1)))
    loss = -np.log(np.where(true, chance, 1 - chance))
    return fairness.of_class(grouping, true, said, chance, (said == true).astype(float), loss, "yes")


@pytest.mark.parametrize("seed", range(5))
def test_every_rate_and_gap_is_fairlearns(seed: int) -> None:
    codes, true, said, chance = drawn(seed=seed)
    table = table_of(codes, true, said, chance)
    frame = oracle.MetricFrame(
        metrics={
            "selection_rate": oracle.selection_rate,
            "accuracy": accuracy_score,
            "tpr": oracle.true_positive_rate,
            "fpr": oracle.false_positive_rate,
            "precision": precision_score,
            "observed": lambda y, p: float(np.mean(y)),
        },
        y_true=true.astype(int),
        y_pred=said.astype(int),
        sensitive_features=codes,
    )
    for group in table.groups:
        code = int(group.name[1:])
        assert group.rows == int((codes == code).sum())
        for name, value in frame.by_group.loc[code].items():
            assert group.figures[name].value == pytest.approx(value, abs=1e-12), (group.name, name)
        inside = codes == code
        assert group.figures["loss"].value == pytest.approx(log_loss(true[inside], chance[inside]))
        assert group.figures["predicted"].value == pytest.approx(chance[inside].mean())
    known = {"y_true": true.astype(int), "y_pred": said.astype(int), "sensitive_features": codes}
    wanted = {
        "demographic_parity": oracle.demographic_parity_difference(**known),
        "demographic_parity_ratio": oracle.demographic_parity_ratio(**known),
        "equalised_odds": oracle.equalized_odds_difference(**known),
        "equal_opportunity": oracle.equal_opportunity_difference(**known),
        "accuracy": frame.difference()["accuracy"],
        "precision": frame.difference()["precision"],
    }
    assert {n: table.gaps[n].value for n in wanted} == pytest.approx(wanted, abs=1e-12)


def test_closed_form_of_a_small_table() -> None:
    codes = np.repeat([0, 1], 40)
    true = np.tile([True, True, False, False], 20)
    said = np.concatenate([np.tile([True, True, True, False], 10), np.tile([True, False, False, False], 10)])
    table = table_of(codes, true, said, np.where(said, 0.9, 0.1))
    first, second = table.groups
    assert [first.figures[n].value for n in ("selection_rate", "tpr", "fpr")] == [0.75, 1.0, 0.5]
    assert [second.figures[n].value for n in ("selection_rate", "tpr", "fpr")] == [0.25, 0.5, 0.0]
    # Twenty true rows of a group are fewer than thirty, so true positive rates are shown but not compared.
    assert table.gaps["demographic_parity"].value == 0.5
    assert table.gaps["equal_opportunity"].value is None
    assert table.gaps["demographic_parity_ratio"].value == pytest.approx(1 / 3)


def test_a_large_sure_gap_is_a_warning_and_equal_treatment_is_not() -> None:
    found = unequal.findings_of([table_of(*drawn())])
    assert {f.level for f in found if "chosen less often" in f.what or "four-fifths" in f.what} == {"warning"}
    codes, true, _, chance = drawn()
    said = chance > 0.4
    assert [f.level for f in unequal.findings_of([table_of(codes, true, said, chance)])] == ["ok"]


def test_luck_is_seldom_a_warning() -> None:
    g = np.random.default_rng(0)
    warned = 0
    for _ in range(100):
        codes, chance = g.choice(3, 300), g.beta(2, 3, 300)
        true = g.random(300) < chance
        warned += any(f.level == "warning" for f in unequal.findings_of([table_of(codes, true, chance > 0.4, chance)]))
    assert warned <= 25, "five measures at 5 % each"


def test_a_tiny_group_is_shown_but_decides_nothing() -> None:
    codes, true, said, chance = drawn(2_000)
    codes = np.where(np.arange(2_000) < 10, 3, np.minimum(codes, 1))
    said[codes == 3] = True
    table = table_of(codes, true, said, chance)
    tiny = next(g for g in table.groups if g.name == "g3")
    assert (tiny.rows, tiny.decides, tiny.figures["selection_rate"].value) == (10, False, 1.0)
    assert "g3" not in {name for pair in table.pairs.values() for name in pair}


def test_the_surest_pair_speaks_where_the_furthest_is_unsure() -> None:
    g = np.random.default_rng(0)
    codes = np.concatenate([np.zeros(4_000, int), np.ones(4_000, int), np.full(35, 2)])
    rates = np.array([0.5, 0.65, 0.66])
    said = g.random(len(codes)) < rates[codes]
    said[codes == 2] = np.arange(35) < 24
    true = g.random(len(codes)) < 0.5
    table = table_of(codes, true, said, np.where(said, 0.7, 0.3))
    assert table.pairs["demographic_parity"] == ("g0", "g2")
    span, pair = table.surest["demographic_parity"]
    assert pair == ("g0", "g1")
    assert (span.low or 0) > 0.1
    found = next(f for f in unequal.findings_of([table]) if "chosen less often" in f.what)
    assert (found.level, "g1" in found.what) == ("warning", True)


@pytest.mark.parametrize(
    ("span", "level"),
    [
        (Span(0.3, 0.2, 0.4), "warning"),
        (Span(0.3, -0.1, 0.7), "look"),
        (Span(0.07, 0.01, 0.1), "look"),
        (Span(0.07, -0.01, 0.1), "ok"),
        (Span(0.02, 0.01, 0.03), "ok"),
        (Span(None), "ok"),
    ],
)
def test_levels(span: Span, level: str) -> None:
    assert unequal.gap_level(span) == level


def test_groups_of_numbers_are_quarters_and_rare_values_are_joined() -> None:
    g = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"age": g.integers(18, 90, 400), "id": [f"v{n % 60}" for n in range(400)], "few": ["a", None] * 200}
    )
    ages = by_column(frame, "age", ColumnSpec(kind="number"), "t")
    assert len(ages.names) == 4
    assert "quarters" in ages.note
    sizes = np.bincount(ages.codes)
    assert sizes.sum() == 400
    assert (abs(sizes - 100) < 15).all()
    ids = by_column(frame, "id", CATEGORY, "t")
    assert len(ids.names) == 20
    assert ids.names[-1] == "all others"
    assert "41 rarer values" in ids.note
    few = by_column(frame, "few", CATEGORY, "t")
    assert set(few.names) == {"a", "missing"}
    both = together([ages, few])
    assert both.name == "age x few"
    assert len(both.names) == 8


def test_wrong_group_columns_are_answered_with_the_nearest_name() -> None:
    frame = pl.DataFrame({"sex": ["m", "f"] * 5, "same": ["x"] * 10})
    with pytest.raises(RequestError, match="no column 'sec'") as caught:
        groupings(frame, ["sec"], {}, "people.csv")
    assert "'sex'" in caught.value.fix
    with pytest.raises(RequestError, match=r"all rows of people\.csv have the same same"):
        groupings(frame, ["same"], {}, "people.csv")


def test_a_proxy_is_found_and_named(subject: Subject) -> None:
    held = subject.everything
    grouping = by_column(held.frame, "team", CATEGORY, "t")
    (finding,) = proxies.findings_of(held, [grouping])
    assert finding.level == "look"
    assert "town (ROC AUC" in finding.evidence
    luck = Grouping("luck", np.random.default_rng(0).integers(0, 2, len(held)), ("p", "q"))
    (finding,) = proxies.findings_of(held, [luck])
    assert finding.level == "ok"


def test_regression_groups_in_closed_form(values_subject: Subject) -> None:
    held = values_subject.held
    (table,) = fairness.compare(held, by_column(held.frame, "team", CATEGORY, "t"))
    for group in table.groups:
        inside = held.frame["team"].to_numpy() == group.name
        miss = (held.prediction.values - held.target)[inside]
        assert group.figures["error"].value == pytest.approx(np.abs(miss).mean(), rel=1e-6)
        assert group.figures["bias"].value == pytest.approx(miss.mean(), rel=1e-5)
    assert table.gaps["error"].value == pytest.approx(
        max(g.figures["error"].value for g in table.groups) - min(g.figures["error"].value for g in table.groups)
    )
    assert any("further off" in f.what and f.level == "warning" for f in unequal.findings_of([table]))
    assert table.is_input
