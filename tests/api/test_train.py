"""`limpid.train` from data to a run folder: what is in it, and what it may depend on."""

import hashlib
import json

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from api_tables import people, quick

import limpid

pytestmark = pytest.mark.slow


def weights(run: limpid.Run) -> str:
    return hashlib.sha256((run.path / "model" / "weights.safetensors").read_bytes()).hexdigest()


def bundle(run: limpid.Run) -> dict[str, bytes]:
    return {n: (run.path / "model" / n).read_bytes() for n in ("spec.json", "encoders.json", "weights.safetensors")}


def test_the_run_folder_holds_what_the_design_says(run):
    names = {p.name for p in run.path.iterdir()}
    assert {"plan.yaml", "profile.json", "events.jsonl", "metrics.json", "predictions.parquet", "report.html"} <= names
    assert {"checkpoint", "model", "rows.parquet", "network.json"} <= names
    assert "encoded" not in names


def test_the_summary_is_the_contract_of_json(run):
    summary = run.summary()
    assert list(summary) == ["run", "task", "target", "net", "metrics", "baselines", "seconds", "epochs", "stopped"]
    assert summary["task"] == "classification"
    assert summary["target"] == "answer"
    assert set(summary["metrics"]) == {"valid", "test"}
    json.dumps(summary, allow_nan=False)


def test_parts_do_not_overlap_and_cover_every_row(run, table):
    rows = pl.read_parquet(run.path / "rows.parquet")
    assert rows["row"].n_unique() == rows.height == table.height
    shares = dict(rows.group_by("part").len().iter_rows())
    assert shares["valid"] == pytest.approx(60, abs=4)
    assert shares["test"] == pytest.approx(60, abs=4)


def test_every_decision_has_a_reason(run):
    plan = yaml.safe_load((run.path / "plan.yaml").read_text())
    assert not any(v == "auto" for section in ("split", "task", "net", "train") for v in plan[section].values())
    for path in ("task.name", "net.name", "split.how", "train.batch", "train.lr", "data.columns.age"):
        assert plan["because"][path]


def test_predictions_of_held_out_rows_are_the_models_own(run, table):
    kept = pl.read_parquet(run.path / "predictions.parquet").filter(pl.col("part") == "test")
    again = run.model.predict(table[kept["row"].to_list()])
    np.testing.assert_allclose(kept["probability_yes"], again["probability_yes"], atol=1e-6)
    assert kept["prediction"].to_list() == again["prediction"].to_list()


def test_the_model_learns_what_there_is_to_learn(table, tmp_path):
    run = quick(table.drop("score"), "answer", tmp_path / "r", set={"train.epochs": 25, "evaluate.baselines": True})
    metrics = run.metrics["test"]
    assert metrics["roc_auc"] > 0.9
    trivial = run.record["baselines"]["trivial"]["metrics"]["test"]
    assert metrics["log_loss"] < trivial["log_loss"]


def test_changing_every_test_row_leaves_the_models_bytes_unchanged(table, tmp_path):
    train, test = table.drop("score")[:300], table.drop("score")[300:]
    other = people(100, seed=9).drop("score").with_columns(pl.col("age") * 3, pl.lit("robot").alias("job"))
    a = quick(train, "answer", tmp_path / "a", test=test)
    b = quick(train, "answer", tmp_path / "b", test=other)
    assert bundle(a) == bundle(b)


def test_changing_the_cells_of_cut_test_rows_leaves_the_models_bytes_unchanged(table, tmp_path):
    frame = table.drop("score", "note")
    a = quick(frame, "answer", tmp_path / "a", set={"data.columns.job": "category", "split.how": "random"})
    held = pl.read_parquet(a.path / "rows.parquet").filter(pl.col("part") == "test")["row"].to_numpy()
    is_test = np.isin(np.arange(frame.height), held)
    changed = frame.with_columns(
        pl.when(pl.Series(is_test)).then(pl.col("age") % 7 + 20).otherwise(pl.col("age")).alias("age"),
        pl.when(pl.Series(is_test)).then(pl.col("job").reverse()).otherwise(pl.col("job")).alias("job"),
        pl.when(pl.Series(is_test)).then(pl.col("income") * 2).otherwise(pl.col("income")).alias("income"),
    )
    b = quick(changed, "answer", tmp_path / "b", set={"data.columns.job": "category", "split.how": "random"})
    assert held.tolist() == pl.read_parquet(b.path / "rows.parquet").filter(pl.col("part") == "test")["row"].to_list()
    assert bundle(a) == bundle(b)


def test_the_same_call_gives_the_same_bytes(table, run, tmp_path):
    again = quick(table.drop("score"), "answer", tmp_path / "again")
    assert bundle(again) == bundle(run)
    assert again.metrics == run.metrics


def test_a_recipe_replays_to_the_same_bytes(table, run, tmp_path):
    replay = limpid.train(table.drop("score"), recipe=run.path / "plan.yaml", out=tmp_path / "replay", quiet=True)
    assert bundle(replay) == bundle(run)
    plan = yaml.safe_load((replay.path / "plan.yaml").read_text())
    assert plan["because"] == yaml.safe_load((run.path / "plan.yaml").read_text())["because"]


def test_another_seed_gives_another_model(table, run, tmp_path):
    assert weights(quick(table.drop("score"), "answer", tmp_path / "r", seed=1)) != weights(run)


def test_resume_returns_the_finished_run_and_a_used_folder_is_refused(table, run):
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*") if p.is_file()}
    again = limpid.train(out=run.path, resume=True, quiet=True)
    assert again.metrics == run.metrics
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("*") if p.is_file()} == before
    with pytest.raises(limpid.LimpidError, match="not empty"):
        quick(table, "answer", run.path)


def test_an_interrupted_run_goes_on_to_the_same_bytes(table, run, tmp_path):
    folder = tmp_path / "r"

    def stop(event):
        if event.as_dict()["event"] == "EpochEnded":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(table.drop("score"), "answer", folder, listen=stop)
    resumed = limpid.train(table.drop("score"), out=folder, resume=True, quiet=True)
    assert bundle(resumed) == bundle(run)


@pytest.mark.parametrize("net", ["mlp", "ft_transformer"])
def test_other_nets_train_too(table, net, tmp_path):
    run = quick(table.drop("score"), "answer", tmp_path / "r", net=net)
    assert run.summary()["net"] == net


def test_regression_gives_calibrated_intervals(table, tmp_path):
    run = quick(table.drop("answer"), "score", tmp_path / "r")
    frame = run.model.predict(table)
    assert {"prediction", "lower", "upper"} <= set(frame.columns)
    assert (frame["lower"] <= frame["upper"]).all()


def test_several_targets_of_regression(table, tmp_path):
    run = quick(table.drop("answer").fill_null(1.0), ["score", "income"], tmp_path / "r")
    frame = run.model.predict(table)
    assert {"prediction_score", "prediction_income"} <= set(frame.columns)


def test_labels_are_a_multi_label_classification(table, tmp_path):
    tags = table.select(pl.when(pl.col("age") > 50).then(pl.lit("old|wise")).otherwise(pl.lit("young")).alias("tags"))
    frame = pl.concat([table.drop("answer", "score"), tags], how="horizontal")
    run = quick(frame, "tags", tmp_path / "r", set={"data.columns.tags": "labels"})
    frame = run.model.predict(table)
    assert {"prediction", "probability_old", "probability_wise", "probability_young"} <= set(frame.columns)


def test_sample_weights_are_read_and_not_learnt_from(table, tmp_path):
    weighted = table.drop("score").with_columns(pl.when(pl.col("age") > 40).then(2.0).otherwise(0.5).alias("w"))
    run = quick(weighted, "answer", tmp_path / "r", set={"data.weight": "w"})
    assert "w" not in run.model.inputs


def test_groups_are_never_divided(table, tmp_path):
    grouped = table.drop("score").with_columns((pl.int_range(pl.len()) // 8).alias("household"))
    run = quick(grouped, "answer", tmp_path / "r", set={"split.group": "household"})
    parts = pl.read_parquet(run.path / "rows.parquet").with_columns((pl.col("row") // 8).alias("household"))
    assert parts.group_by("household").agg(pl.col("part").n_unique())["part"].max() == 1
    assert "household" not in run.model.inputs


def test_a_module_of_the_users_own(table, tmp_path):
    made = []

    def build(width: int) -> torch.nn.Module:
        made.append(torch.nn.Sequential(torch.nn.Linear(width, 8), torch.nn.ReLU()))
        return made[-1]

    frame = table.drop("score", "note")
    run = quick(frame, "answer", tmp_path / "r", net=build)
    with pytest.raises(limpid.LimpidError, match="user's own"):
        limpid.load(run.path)
    loaded = limpid.load(run.path, net=build)
    kept = pl.read_parquet(run.path / "predictions.parquet")
    again = loaded.predict(frame[kept["row"].to_list()])
    np.testing.assert_allclose(kept["probability_yes"], again["probability_yes"], atol=1e-6)


def test_a_loss_of_the_users_own_is_used(table, tmp_path):
    seen = []

    def loss(outputs, target):
        seen.append(outputs.shape)
        return torch.nn.functional.cross_entropy(outputs, target, reduction="none") * 2

    quick(table.drop("score"), "answer", tmp_path / "r", loss=loss)
    assert seen


def test_a_metric_of_the_users_own_judges_the_run(table, tmp_path):
    def compute(target, prediction, weight):
        return float((prediction.values.argmax(axis=1) != target).mean())

    run = quick(table.drop("score"), "answer", tmp_path / "r", metric=limpid.Metric("mistakes", False, compute))
    assert run.record["metric"] == "mistakes"
    assert run.metrics["test"]["mistakes"] == pytest.approx(1 - run.metrics["test"]["accuracy"], abs=0.2)
    assert "mistakes" in run.record["intervals"]["test"]
    assert "log_loss" in run.metrics["test"]


def test_rows_without_a_target_are_counted(table, tmp_path):
    holes = table.drop("score").with_columns(
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise(pl.col("answer")).alias("answer")
    )
    run = quick(holes, "answer", tmp_path / "r")
    assert {"what": "had no target and were left out", "count": 40}.items() <= run.record["repairs"][0].items()


def test_a_learning_rate_range_test_is_written_into_the_plan(table, tmp_path):
    run = quick(table.drop("score"), "answer", tmp_path / "r", set={"train.lr": "range"})
    plan = yaml.safe_load((run.path / "plan.yaml").read_text())
    assert isinstance(plan["train"]["lr"], float)
    assert "range test" in plan["because"]["train.lr"]


def test_redundant_and_useless_columns_go_when_asked(table, tmp_path):
    more = table.drop("score", "note").with_columns(
        (pl.col("age") * 2 + 1).alias("twice"), pl.Series("noise", np.random.default_rng(0).normal(size=table.height))
    )
    run = quick(more, "answer", tmp_path / "r", set={"data.drop": ["constant", "key", "redundant", "useless"]})
    assert "twice" not in run.model.inputs
    assert "noise" not in run.model.inputs
    assert "age" in run.model.inputs
    assert "age" in run.plan["because"]["data.columns.twice.use"]


def test_data_on_the_disk_train_like_data_in_memory(table, run, tmp_path):
    mapped = quick(table.drop("score"), "answer", tmp_path / "r", set={"data.resident_bytes": 0})
    assert weights(mapped) == weights(run)
    assert not (mapped.path / "encoded").exists()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"target": "anser"}, "no column 'anser'"),
        ({"target": None}, "no target"),
        ({"net": "alexnet"}, "no net called"),
        ({"task": "classifikation"}, "no task called"),
        ({"set": {"train.epoch": 3}}, "not a setting"),
        ({"set": {"train.lr": -1}}, "train.lr"),
        ({"set": {"data.columns.agee": "number"}}, "no column 'agee'"),
        ({"set": {"data.columns.age": "nummer"}}, "no"),
        ({"set": {"split.group": "house"}}, "no column 'house'"),
        ({"set": {"net.widht": 3}}, "not a setting"),
        ({"budget": "soon"}, "length of time"),
        ({"device": "tpu"}, "no device"),
        ({"task": "regression"}, "not numeric"),
        ({"set": {"data.weight": "job"}}, "weights"),
    ],
)
def test_mistakes_get_four_parts_and_leave_no_run_behind(table, tmp_path, options, what):
    target = options.pop("target", "answer")
    with pytest.raises(limpid.LimpidError, match=what) as caught:
        quick(table.drop("score"), target, tmp_path / "r", **options)
    assert all(caught.value.parts().values())
