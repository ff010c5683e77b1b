"""A Keras ResNet-18 on cifar10, on torch: `peer_keras_resnet18.py TRAIN.parquet TEST.parquet BUDGET_SECONDS SEED`.

The network of He et al. (2016) as usual for 32x32 pictures (a 3x3 stem, no pooling in it), Keras' own flip and shift
layers, SGD with Nesterov momentum 0.9, weight decay 5e-4, cosine rate from 0.1 over the steps that the time allows
(ten steps are timed first), batches of 128. Prints one JSON object: accuracy on the test file, seconds, epochs.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time

START = time.monotonic()
os.environ["KERAS_BACKEND"] = "torch"
import keras  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from keras import layers  # noqa: E402
from PIL import Image  # noqa: E402


class Until(keras.callbacks.Callback):
    """Stops at the end of the step in which the time is up."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.deadline = deadline
        self.steps = 0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.steps += 1
        if time.monotonic() > self.deadline:
            self.model.stop_training = True


def pictures(path: str) -> tuple[np.ndarray, np.ndarray]:
    frame = pd.read_parquet(path)
    cells = [np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB")) for cell in frame["image"]]
    return np.stack(cells).astype("float32") / 255.0, frame["label"].astype(str).to_numpy()


def block(x: object, width: int, stride: int) -> object:
    y = layers.Conv2D(width, 3, strides=stride, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", use_bias=False)(y))
    if stride != 1 or x.shape[-1] != width:
        x = layers.BatchNormalization()(layers.Conv2D(width, 1, strides=stride, use_bias=False)(x))
    return layers.ReLU()(layers.Add()([x, y]))


def network(classes: int) -> keras.Model:
    inputs = layers.Input((32, 32, 3))
    x = layers.RandomTranslation(0.125, 0.125, fill_mode="reflect")(layers.RandomFlip("horizontal")(inputs))
    x = layers.Rescaling(4.0, offset=-1.9)(x)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(64, 3, padding="same", use_bias=False)(x)))
    for stage, width in enumerate((64, 128, 256, 512)):
        x = block(x, width, 1 if stage == 0 else 2)
        x = block(x, width, 1)
    return keras.Model(inputs, layers.Dense(classes, "softmax")(layers.GlobalAveragePooling2D()(x)))


train, test, budget, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
keras.utils.set_random_seed(seed)
x, labels = pictures(train)
classes, y = np.unique(labels, return_inverse=True)
x_test, labels_test = pictures(test)
y_test = np.searchsorted(classes, labels_test)
deadline = START + 0.8 * budget  # the rest is for answering 10,000 pictures

trial = network(len(classes))
trial.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
trial.train_on_batch(x[:128], y[:128])
began = time.monotonic()
for n in range(10):
    trial.train_on_batch(x[128 * n : 128 * n + 128], y[128 * n : 128 * n + 128])
steps = max(1, int((deadline - time.monotonic()) / ((time.monotonic() - began) / 10)))

model = network(len(classes))
rate = keras.optimizers.schedules.CosineDecay(0.1, steps)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=5e-4),
    "sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
until = Until(deadline)
model.fit(x, y, batch_size=128, epochs=1_000, verbose=0, callbacks=[until])
found = model.predict(x_test, batch_size=500, verbose=0).argmax(1)
print(
    json.dumps(
        {
            "accuracy": float((found == y_test).mean()),
            "seconds": round(time.monotonic() - START, 1),
            "steps": until.steps,
            "epochs": round(until.steps * 128 / len(x), 2),
            "versions": {"keras": keras.__version__, "numpy": np.__version__},
        }
    )
)
