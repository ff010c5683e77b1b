"""The audit of a forecast: which windows it judges, groups of series, what gives the values to come away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

import limpid
from limpid.api.audit_rows import Subject, read
from limpid.api.audited import Audit
from limpid.auditing.judged import finite_mean
from limpid.core.errors import LimpidError
from limpid.core.repairs import Repairs
from limpid.core.run import RunFolder
from limpid.data.table import open_table

pytestmark = pytest.mark.slow

SHOPS, LENGTH, HORIZON = 6, 150, 5


def shops(first: int = 0, last: int = LENGTH) -> pl.DataFrame:
    """Monthly sales; those of the north are larger, and their noise is too; `ahead` runs three months early."""
    g = np.random.default_rng(0)
    rows = []
    for shop in range(SHOPS):
        north = shop % 2
        sales = 50 * (1 + north) + 10 * np.sin(np.arange(LENGTH + 3) * 2 * np.pi / 12 + shop)
        sales += g.normal(0, (1, 6)[north], LENGTH + 3)
        for k in range(first, last):
            month = f"{2000 + k // 12}-{k % 12 + 1:02d}-01"
            rows.append((f"s{shop}", ("south", "north")[north], month, sales[k], sales[k + 3], g.normal()))
    return pl.DataFrame(rows, schema=["shop", "region", "month", "sales", "ahead", "weather"], orient="row")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shops")
    shops().write_csv(folder / "data.csv")
    limpid.train(
        str(folder / "data.csv"), task="forecasting", target="sales", net="dlinear", out=folder / "run", quiet=True,
        set={"task.id": "shop", "task.horizon": HORIZON, "train.epochs": 4, "train.threads": 1,
             "train.precision": "fp32", "evaluate.baselines": False, "data.columns.region.use": False},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def audited(home: Path) -> Audit:
    return limpid.audit(home / "run", str(home / "data.csv"), group=["region"])


def subject_of(home: Path, groups: tuple[str, ...] = ()) -> Subject:
    return read(
        limpid.load(home / "run").bundle, open_table(str(home / "data.csv")), groups, RunFolder(home / "run"), Repairs()
    )


def test_only_windows_that_were_held_out_are_judged(home: Path, audited: Audit) -> None:
    kept = pl.read_parquet(home / "run/predictions.parquet").filter(pl.col("part") == "test")
    assert audited.part == "test" and audited.rows == kept.height
    held = subject_of(home).held
    np.testing.assert_allclose(held.prediction.values, kept["prediction"].to_numpy(), rtol=1e-5)
    np.testing.assert_allclose(held.target[:, :HORIZON], kept["target_sales"].to_numpy(), rtol=1e-6)
    assert {f.topic for f in audited.findings} >= {"fairness", "calibration", "leaks", "overfitting", "reproducibility"}
    assert not any("could not be compared" in f.what for f in audited.findings)


def test_errors_of_groups_are_means_of_stretches_that_do_not_overlap(home: Path, audited: Audit) -> None:
    held = subject_of(home, ("region",)).held
    assert held.stretches is not None
    true = np.asarray(held.target, dtype=np.float64)[:, :HORIZON]
    miss = held.prediction.values - true
    inside = (true >= held.prediction.lower) & (true <= held.prediction.upper)
    (table,) = audited.fairness
    assert {g.name for g in table.groups} == {"north", "south"}
    for group in table.groups:
        own = (held.frame["region"] == group.name).to_numpy()
        blocks = [own & (held.stretches.block == b) for b in np.unique(held.stretches.block[own])]
        for name, values in {"mae": np.abs(miss), "coverage": inside}.items():
            means = [values[block].mean() for block in blocks]
            assert group.figures[name].value == pytest.approx(np.mean(means))
        wanted = stats.ttest_1samp([np.abs(miss)[block].mean() for block in blocks], 0).confidence_interval(0.95)
        assert group.figures["mae"].low == pytest.approx(wanted.low)
        assert group.rows == own.sum() and group.figures["mae"].count == len(blocks) < own.sum()
    # The noise of the north is six times that of the south; over the scale of the series it weighs about as much.
    figures = {g.name: g.figures for g in table.groups}
    assert figures["north"]["mae"].value > 3 * figures["south"]["mae"].value  # type: ignore[operator]
    scaled = finite_mean(np.abs(miss) / held.target[:, HORIZON:])
    each, first = held.stretches.mean(scaled)
    group = held.frame["region"].to_numpy()[first]
    wanted = stats.ttest_ind(each[group == "south"], each[group == "north"], equal_var=False).confidence_interval(0.95)
    gap, sign = table.gaps["error"], 1 if table.pairs["error"][1] == "south" else -1
    assert sorted((sign * wanted.low, sign * wanted.high)) == pytest.approx([gap.low, gap.high])


def test_a_column_that_runs_early_is_a_fault(audited: Audit) -> None:
    faults = [f for f in audited.findings if f.level == "fault"]
    assert [f.what for f in faults] == ["column ahead, known up to the cutoff, is the target 3 steps later"]


def test_of_a_longer_file_only_later_windows_are_judged(home: Path, tmp_path: Path) -> None:
    found = limpid.audit(home / "run", shops(10).with_columns(pl.col("sales") * 1.0))
    assert found.part == "" and found.rows < SHOPS * (LENGTH - 10) / 2
    assert any("seen were left out" in f.what for f in found.findings)
    early = limpid.audit(home / "run", shops(0, 60))
    assert any(f.level == "warning" and "flatters" in f.what for f in early.findings)
    bundle = limpid.audit(home / "run/model", str(home / "data.csv"), group=["region", "shop"])
    assert {t.column for t in bundle.fairness} == {"region", "shop", "region x shop"}


def test_a_group_must_not_change_within_a_series(home: Path) -> None:
    with pytest.raises(LimpidError, match="changes within a series"):
        limpid.audit(home / "run", str(home / "data.csv"), group=["weather"])
    with pytest.raises(LimpidError, match="no column 'regoin'"):
        limpid.audit(home / "run", str(home / "data.csv"), group=["regoin"])
