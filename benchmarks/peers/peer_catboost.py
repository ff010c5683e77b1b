"""CatBoost at its documented defaults; words as categorical features."""

from __future__ import annotations

from catboost import CatBoostClassifier, CatBoostRegressor
from shared import arguments, write

split, out, _ = arguments()
for column in split.words:  # it takes no missing category, and asks for a word in its place
    split.x[column] = split.x[column].fillna("missing").astype(str)
    split.test[column] = split.test[column].fillna("missing").astype(str)
quiet = {"verbose": False, "allow_writing_files": False, "cat_features": split.words}
if split.classification:
    model = CatBoostClassifier(**quiet).fit(split.x, split.y)
    write(out, model.predict_proba(split.test), list(model.classes_), "catboost", "pandas", "numpy")
else:
    model = CatBoostRegressor(**quiet).fit(split.x, split.y)
    write(out, model.predict(split.test), None, "catboost", "pandas", "numpy")
