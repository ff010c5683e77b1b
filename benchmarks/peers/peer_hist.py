"""scikit-learn's histogram booster at its defaults; words as ordinal codes that it treats as categories."""

from __future__ import annotations

import numpy as np
from shared import arguments, write
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.preprocessing import OrdinalEncoder

split, out, _ = arguments()
if split.words:
    # It takes at most 255 categories a column; the encoder pools the rest, as scikit-learn's guide advises.
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=254,
    ).set_output(transform="pandas")
    for frame, encode in ((split.x, encoder.fit_transform), (split.test, encoder.transform)):
        frame[split.words] = encode(frame[split.words].astype(object)).astype(float)
categories = [c in split.words for c in split.x.columns] if split.words else None
if split.classification:
    model = HistGradientBoostingClassifier(categorical_features=categories).fit(split.x, split.y)
    write(out, model.predict_proba(split.test), list(model.classes_), "scikit-learn", "pandas", "numpy")
else:
    model = HistGradientBoostingRegressor(categorical_features=categories).fit(split.x, split.y)
    write(out, model.predict(split.test), None, "scikit-learn", "pandas", "numpy")
