"""Small stand-ins for the network, the task and the data of a training."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.contracts import Metric, Prediction
from limpid.core.events import Event
from limpid.data.encoded import Encoded
from limpid.planning.train_spec import TrainSpec


class Classes:
    """Three classes, judged by accuracy."""

    def prepare_target(self, target: Tensor) -> Tensor:
        return target

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(outputs, target, reduction="none")

    def predict(self, outputs: np.ndarray) -> Prediction:
        shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        probabilities = shifted / shifted.sum(axis=-1, keepdims=True)
        return Prediction(probabilities.mean(axis=1) if probabilities.ndim == 3 else probabilities)

    @property
    def metrics(self) -> list[Metric]:
        return [Metric("log_loss", False, log_loss)]


class Values:
    """One real value, judged by its root mean squared error."""

    def prepare_target(self, target: Tensor) -> Tensor:
        return target.float()

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs - target).square().mean(dim=1)

    def predict(self, outputs: np.ndarray) -> Prediction:
        return Prediction(outputs.mean(axis=1) if outputs.ndim == 3 else outputs)

    @property
    def metrics(self) -> list[Metric]:
        return [Metric("rmse", False, lambda t, p, w: float(np.sqrt(np.average((t - p.values) ** 2))))]


def log_loss(target: np.ndarray, prediction: Prediction, weight: np.ndarray | None) -> float:
    chosen = prediction.values[np.arange(len(target)), target]
    return float(np.average(-np.log(np.maximum(chosen, 1e-12)), weights=weight))


class Small(nn.Module):
    """Numbers and one category through a hidden layer; batch norm, dropout and members where asked for."""

    def __init__(
        self, outputs: int = 3, *, width: int = 16, norm: bool = True, dropout: float = 0.1, members: int = 0
    ) -> None:
        super().__init__()
        self.members = members
        self.embedding = nn.Embedding(5, 4)
        self.first = nn.Linear(4 + 4, width)
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()
        self.act = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Linear(width, width)
        self.act2 = nn.ReLU()
        self.head = nn.Linear(width, outputs * max(members, 1))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        codes = self.embedding(batch["fields.categories"].long()).flatten(1)
        x = torch.cat([batch["fields.numbers"], codes], dim=1)
        x = self.act2(self.second(self.dropout(self.act(self.norm(self.first(x))))))
        out: Tensor = self.head(x)
        return out.view(len(out), self.members, -1) if self.members else out


def small(seed: int = 0, **options: Any) -> Small:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Small(**options)


def rows(count: int = 200, *, seed: int = 0, classes: bool = True, weight: bool = False) -> Encoded:
    """Learnable rows."""
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=(count, 4)).astype(np.float32)
    codes = draw.integers(0, 5, size=(count, 1))
    score = numbers[:, 0] + 0.5 * numbers[:, 1] ** 2 + 0.3 * codes[:, 0] + 0.1 * draw.normal(size=count)
    target = np.digitize(score, [0.7, 1.5]).astype(np.int64) if classes else score[:, None].astype(np.float32)
    return Encoded(
        {"fields.numbers": numbers, "fields.categories": codes.astype(np.int64)},
        np.arange(count) * 3 + 7,
        target,
        draw.uniform(0.5, 2.0, size=count).astype(np.float32) if weight else None,
    )


def settings(**changes: Any) -> TrainSpec:
    """A complete spec for a short training."""
    chosen: dict[str, Any] = {
        "epochs": 4,
        "batch": 32,
        "micro_batch": 32,
        "lr": 0.01,
        "optimiser": "adamw",
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup": 0.1,
        "ema": 0.9,
        "clip": 1.0,
        "patience": 0,
        "precision": "fp32",
        "threads": 1,
        "unfreeze": 0.0,
        "depth_decay": 1.0,
        "checkpoint_seconds": 1e9,
        "refit": False,
        "folds": 0,
        "small": 0.0,
        "channels_last": False,
    }
    return TrainSpec(**{**chosen, **changes})


def fingerprint(model: nn.Module) -> str:
    """sha256 of all weights and buffers."""
    state = sha256()
    for name, value in sorted(model.state_dict().items()):
        state.update(name.encode())
        state.update(value.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()


class Heard(list[Event]):
    """A listener that remembers."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]
