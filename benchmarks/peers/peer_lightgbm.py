"""LightGBM at its documented defaults; words as pandas categories, which it reads as such."""

from __future__ import annotations

import lightgbm as lgb
import pandas as pd
from shared import arguments, write

split, out, _ = arguments()
for column in split.words:
    kind = pd.CategoricalDtype(sorted(split.x[column].dropna().unique()))
    split.x[column] = split.x[column].astype(kind)
    split.test[column] = split.test[column].astype(kind)
if split.classification:
    model = lgb.LGBMClassifier(verbose=-1).fit(split.x, split.y)
    write(out, model.predict_proba(split.test), list(model.classes_), "lightgbm", "pandas", "numpy")
else:
    model = lgb.LGBMRegressor(verbose=-1).fit(split.x, split.y)
    write(out, model.predict(split.test), None, "lightgbm", "pandas", "numpy")
