"""Forecasts end to end: train, predict, evaluate, replay; what a model must not know; mistakes answered."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

import limpid
from limpid.core.errors import DataError, LimpidError, RequestError

pytestmark = pytest.mark.slow

DAYS = np.arange("2020-01-01", "2020-08-18", dtype="M8[D]")
QUICK = {"train.epochs": 2, "evaluate.intervals": 20, "train.threads": 1, "train.precision": "fp32"}


def shops(seed=0, count=3):
    """Daily sales of shops of different size: a week, a promotion that is known ahead, a temperature that is not."""
    random = np.random.default_rng(seed)
    frames = []
    for k in range(count):
        t = np.arange(len(DAYS))
        promo = (random.random(len(t)) < 0.2).astype(int)
        heat = 10 + 5 * np.sin(t / 30) + random.normal(size=len(t))
        sales = (k + 1) * 100 * (1 + 0.4 * np.sin(2 * np.pi * t / 7) + 0.8 * promo) + random.normal(size=len(t)) * 5
        frames.append(
            pl.DataFrame(
                {
                    "day": DAYS.astype(str),
                    "shop": [f"s{k}"] * len(t),
                    "area": [50.0 * (k + 1)] * len(t),
                    "heat": heat,
                    "promo": promo,
                    "sales": sales,
                }
            )
        )
    return pl.concat(frames)


def fit(data, folder, **more):
    settings = {**QUICK, "task.horizon": 7, "task.known": ["promo"], **more.pop("set", {})}
    return limpid.train(
        data, target="sales", task="forecasting", out=folder, quiet=True, set=settings, **{"net": "dlinear", **more}
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit(shops(), tmp_path_factory.mktemp("shops") / "run")


def future(frame, days=7):
    """The rows of the days to come, which know the promotion alone."""
    ahead = [str(d) for d in DAYS[-1] + np.arange(1, days + 1)]
    return pl.concat(
        [
            pl.DataFrame({"day": ahead, "shop": [s] * days, "area": [a] * days, "promo": [0] * days})
            for s, a in frame.select("shop", "area").unique(maintain_order=True).rows()
        ]
    )


def test_the_plan_says_what_the_series_are(run):
    tree = run.plan
    task = tree["task"]
    assert task["time"] == ["day"] and task["id"] == ["shop"] and task["frequency"] == "1d" and task["period"] == 7
    assert tree["split"]["how"] == "time"
    assert all(len(reason) > 10 or reason == "as asked" for path, reason in tree["because"].items() if "task." in path)


def test_figures_and_baselines_are_there(run):
    metrics = run.metrics["test"]
    assert list(metrics) == ["quantile_loss", "mae", "rmse", "smape", "mase", "coverage"]
    beside = json.loads((run.path / "metrics.json").read_text())
    assert set(beside["baselines"]) == {"seasonal naive", "drift", "linear"}
    assert metrics["mae"] < beside["baselines"]["seasonal naive"]["metrics"]["test"]["mae"]
    assert beside["details"]["examples"] and len(beside["details"]["horizon_baselines"]) == 3
    page = (run.path / "report.html").read_text()
    assert "Error by step ahead" in page and "Values within the 90 % band" in page
    rows = pl.read_parquet(run.path / "predictions.parquet")
    assert rows["window"][0].startswith("s0 after 2020-") and len(rows["prediction"][0]) == 7


def test_predictions_continue_each_series(run, tmp_path):
    data = shops()
    answer = run.model.predict(pl.concat([data, future(data)], how="diagonal"))
    assert answer.columns == ["shop", "day", "prediction", "lower", "upper"]
    assert answer["shop"].to_list() == [s for s in ("s0", "s1", "s2") for _ in range(7)]
    assert answer["day"].to_list()[:7] == [str(d) for d in DAYS[-1] + np.arange(1, 8)]
    assert (answer["lower"] <= answer["prediction"]).all() and (answer["prediction"] <= answer["upper"]).all()
    again = limpid.load(run.path).predict(pl.concat([data, future(data)], how="diagonal").sample(fraction=1.0, seed=1))
    assert again.sort("shop", "day").equals(answer)
    path = tmp_path / "ahead.csv"
    limpid.predict(run.path, data, out=path, keep=["area"])
    written = pl.read_csv(path)
    assert written.columns[:3] == ["shop", "area", "day"] and written.height == 21
    assert written["area"].unique().sort().to_list() == [50.0, 100.0, 150.0]


def test_quantiles_rise_and_hold_the_median(run):
    data = shops()
    every = run.model.predict_quantiles(data)
    assert every.columns[2:] == ["prediction", "q5", "q10", "q25", "q50", "q75", "q90", "q95"]
    assert (np.diff(every.select(every.columns[3:]).to_numpy(), axis=1) >= 0).all()
    assert every["q50"].to_list() == pytest.approx(every["prediction"].to_list())


def test_what_is_known_ahead_is_read_and_its_lack_counted(run):
    data = shops()
    calm = run.model.predict(pl.concat([data, future(data)], how="diagonal"))
    busy = future(data).with_columns(promo=pl.lit(1, pl.Int64))
    answer = run.model.predict(pl.concat([data, busy], how="diagonal"))
    assert (answer["prediction"] > calm["prediction"]).mean() > 0.8  # two epochs learn the direction, not the size
    run_model = run.model
    run_model.predict(data)
    assert any("last known values were held" in r.what for r in run_model.repairs)


def test_new_and_short_series(run):
    data = shops(count=4).filter((pl.col("shop") != "s1") | (pl.col("day") > "2020-08-15"))
    model = run.model
    answer = model.predict(data)
    assert answer.height == 4 * 7
    short = answer.filter(shop="s1")
    assert short["prediction"].is_null().all() and short["error"].str.contains("known steps").all()
    assert answer.filter(shop="s3")["prediction"].is_not_null().all()
    assert any("cannot be forecast" in r.what for r in model.repairs)


def test_evaluation_rolls_over_all_that_is_given(run):
    data = shops()
    whole = limpid.evaluate(run.path, data)
    assert whole.rows > 3 * 100 and set(whole.metrics) == set(run.metrics["test"])
    part = limpid.evaluate(run.path, data.filter(pl.col("day") > "2020-07-01"))
    assert 0 < part.rows < whole.rows


def test_the_order_of_rows_changes_nothing_but_the_count_of_repairs(run, tmp_path):
    mixed = pl.concat([shops(), shops()[:10]]).sample(fraction=1.0, shuffle=True, seed=3)
    records = [json.loads((r.path / "metrics.json").read_text()) for r in (run, fit(mixed, tmp_path / "mixed"))]
    assert records[0]["rows"] == records[1]["rows"]
    for name in ("seasonal naive", "drift", "linear"):  # what is learnt step by step depends on the order of windows
        one, two = (r["baselines"][name]["metrics"]["test"]["mae"] for r in records)
        assert one == pytest.approx(two, rel=1e-6)
    words = {word for r in records[1]["repairs"] for word in ("share", "earlier") if word in r["what"]}
    assert words == {"share", "earlier"}


def test_nothing_of_the_test_span_reaches_plan_or_weights(run, tmp_path):
    changed = shops().with_columns(
        sales=pl.when(pl.col("day") > "2020-07-20").then(pl.col("sales") * 7 + 1000).otherwise(pl.col("sales")),
        heat=pl.when(pl.col("day") > "2020-07-20").then(-pl.col("heat")).otherwise(pl.col("heat")),
    )
    other = fit(changed, tmp_path / "changed")
    assert other.metrics["valid"] == run.metrics["valid"]
    weights = [(r.path / "model" / "weights.safetensors").read_bytes() for r in (run, other)]
    assert weights[0] == weights[1]


def test_a_plan_replays_to_the_same_weights(run, tmp_path):
    again = limpid.train(shops(), recipe=run.path / "plan.yaml", out=tmp_path / "again", quiet=True)
    weights = [(r.path / "model" / "weights.safetensors").read_bytes() for r in (run, again)]
    assert weights[0] == weights[1]


def test_parts_may_be_given_as_files(tmp_path):
    data = shops()
    early, late = data.filter(pl.col("day") <= "2020-07-20"), data.filter(pl.col("day") > "2020-07-20")
    found = fit(early, tmp_path / "files", test=late)
    assert found.metrics["test"]["mae"] > 0
    rows = pl.read_parquet(found.path / "predictions.parquet").filter(part="test")
    # The first window of the test file already knows the training file's last day.
    assert rows["window"].str.tail(10).min() == "2020-07-20"


@pytest.mark.parametrize("net", ["nhits", "patchtst", "gru"])
def test_any_net_for_sequences_forecasts(net, tmp_path):
    found = fit(shops(), tmp_path / net, net=net, set={"train.epochs": 1})
    answer = found.model.predict(shops())
    assert answer.height == 21 and answer["prediction"].is_not_null().all()


def test_a_single_column_without_a_time_is_one_series(tmp_path):
    wave = 10 + np.sin(2 * np.pi * np.arange(300) / 12) + 0.01 * np.random.default_rng(0).normal(size=300)
    found = limpid.train({"y": wave}, target="y", task="forecasting", out=tmp_path / "r", quiet=True, set=QUICK)
    answer = found.model.predict({"y": wave})
    assert answer["step"].to_list() == list(range(300, 300 + answer.height))
    assert answer["prediction"].to_list() == pytest.approx(
        (10 + np.sin(2 * np.pi * np.arange(300, 300 + answer.height) / 12)).tolist(), abs=0.3
    )


MISTAKES = {
    "no numbers": (lambda d: d.with_columns(sales=pl.lit("many")), {}, "not numeric"),
    "constant": (lambda d: d.select("day", "shop").with_columns(sales=pl.lit(None, pl.Float64)), {}, "not numeric"),
    "too short": (lambda d: d.head(12), {}, "too few"),
    "too long a horizon": (lambda d: d, {"set": {"task.horizon": 500}}, "too few"),
    "no such id": (lambda d: d, {"set": {"task.id": "shp"}}, "no column 'shp'"),
    "no such known column": (lambda d: d, {"set": {"task.known": ["prom"]}}, "no column 'prom'"),
    "a group split": (lambda d: d, {"set": {"split.group": "shop"}}, "by time only"),
    "a wrong frequency": (lambda d: d, {"set": {"task.frequency": "soon"}}, "no frequency"),
    "counts for moments": (lambda d: d, {"set": {"task.frequency": "2"}}, "do not fit"),
    "no time": (lambda d: d.with_columns(day=pl.lit("someday")), {"set": {"task.time": "day"}}, "tells no time"),
    "weights": (lambda d: d, {"set": {"data.weight": "area"}}, "no sample weights"),
    "two targets": (lambda d: d, {"target": ["sales", "heat"]}, "2 targets"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_answered(name, tmp_path):
    change, more, said = MISTAKES[name]
    settings = {**QUICK, "task.horizon": 7, **more.get("set", {})}
    with pytest.raises(LimpidError, match=said) as caught:
        limpid.train(
            change(shops()), target=more.get("target", "sales"), task="forecasting", out=tmp_path / "r", quiet=True,
            set=settings,
        )  # fmt: skip
    error = caught.value
    assert error.what and error.where and error.expected and error.fix
    assert not (tmp_path / "r").exists()


def test_rows_that_lack_a_column_are_refused(run):
    with pytest.raises(DataError, match="missing: 'heat'"):
        run.model.predict(shops().drop("heat"))
    with pytest.raises(RequestError, match="no column 'nope'"):
        run.model.predict(shops(), keep=["nope"])
    with pytest.raises(DataError, match="long enough"):
        run.model.evaluate(shops().head(5))


def test_air_passengers_beat_the_seasonal_naive_and_the_linear_baseline(real_data, tmp_path):
    path = real_data("air-passengers/airline-passengers.csv")
    found = limpid.train(
        path, target="Passengers", task="forecasting", out=tmp_path / "air", quiet=True,
        set={"task.horizon": 24, "evaluate.intervals": 0, "train.threads": 1},
    )  # fmt: skip
    beside = json.loads((found.path / "metrics.json").read_text())["baselines"]
    for figure in ("mae", "quantile_loss"):
        others = [b["metrics"]["test"][figure] for b in beside.values()]
        assert found.metrics["test"][figure] < min(others)
    naive = beside["seasonal naive"]["metrics"]["test"]
    assert naive["mae"] == pytest.approx(71.25, abs=0.01)  # the published way: the last year, twice
    assert found.model.predict(path)["Month"].to_list()[:2] == ["1961-01", "1961-02"]
