"""AutoGluon's medium preset, its default, told the metric and given the budget as its time limit."""

from __future__ import annotations

import sys
import tempfile

from autogluon.tabular import TabularDataset, TabularPredictor
from shared import arguments, write

split, out, budget = arguments()
metric = {"roc_auc": "roc_auc", "log_loss": "log_loss", "rmse": "root_mean_squared_error"}[split.task["metric"]]
kind = "regression" if not split.classification else "binary" if split.y.nunique() == 2 else "multiclass"
train = TabularDataset(split.x.assign(**{split.target: split.y}))
with tempfile.TemporaryDirectory() as folder:
    predictor = TabularPredictor(split.target, problem_type=kind, eval_metric=metric, path=folder, verbosity=0)
    predictor.fit(train, presets="medium_quality", time_limit=budget, num_cpus=2, num_gpus=0)
    print(predictor.leaderboard().to_string(), file=sys.stderr)
    packages = ("autogluon.tabular", "torch", "pandas", "numpy")
    if split.classification:
        values = predictor.predict_proba(split.test)
        write(out, values.to_numpy(), list(values.columns), *packages)
    else:
        write(out, predictor.predict(split.test).to_numpy(), None, *packages)
