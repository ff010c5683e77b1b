"""A plain Keras MLP on torch: two hidden layers of 256, Adam, early stopping; what a careful beginner writes."""

from __future__ import annotations

import os
import time

START = time.monotonic()
os.environ["KERAS_BACKEND"] = "torch"
import keras  # noqa: E402
import numpy as np  # noqa: E402
from shared import arguments, write  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402


class Until(keras.callbacks.Callback):
    """Stops at the end of the epoch in which the time is up."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.deadline = deadline

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        if time.monotonic() > self.deadline:
            self.model.stop_training = True


split, out, budget = arguments()
keras.utils.set_random_seed(split.task["seed"])
numbers = [c for c in split.x.columns if c not in split.words]
encode = ColumnTransformer(
    [
        ("numbers", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
        ("words", OneHotEncoder(handle_unknown="ignore", max_categories=200, sparse_output=False), split.words),
    ]
)
x = encode.fit_transform(split.x).astype("float32")
test = encode.transform(split.test).astype("float32")
if split.classification:
    classes, y = np.unique(split.y, return_inverse=True)
    last, loss, stratify = keras.layers.Dense(len(classes), "softmax"), "sparse_categorical_crossentropy", y
else:
    y = split.y.to_numpy("float32")
    mean, std = float(y.mean()), float(y.std())
    classes, y, last, loss, stratify = None, (y - mean) / std, keras.layers.Dense(1), "mse", None
parts = train_test_split(x, y, test_size=0.15, random_state=split.task["seed"], stratify=stratify)
model = keras.Sequential(
    [
        keras.layers.Input((x.shape[1],)),
        keras.layers.Dense(256, "relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(256, "relu"),
        keras.layers.Dropout(0.2),
        last,
    ]
)
model.compile("adam", loss)
model.fit(
    parts[0],
    parts[2],
    validation_data=(parts[1], parts[3]),
    batch_size=128,
    epochs=100,
    verbose=0,
    callbacks=[
        keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True),
        Until(START + 0.9 * budget),
    ],
)
values = model.predict(test, batch_size=1024, verbose=0)
if classes is None:
    write(out, values * std + mean, None, "keras", "torch", "scikit-learn", "numpy")
else:
    write(out, values, list(classes), "keras", "torch", "scikit-learn", "numpy")
