"""How far from all training rows is a row, as the network itself sees it before its last layer?

Two distances to the nearest training row are taken: that between directions, both vectors at length 1 (deep nearest
neighbours, Sun et al. 2022), and that between vectors whose features are scaled to spread 1, which also sees how long a
vector is. Each is divided by what held-out rows have at most in 95 of 100 cases, and the score is the mean of the two.

Chosen by how well rows made unlike (see `estranged`) are told from held-out ones: the mean ROC AUC over the kinds of
change, for each of two Gaussian discriminants with one covariance (Lee et al. 2018), the two distances, and their mean:

    data (network)              Lee    direction  scaled   mean of both
    adult (tabm)                .78      .86       .83       .92
    california-housing (tabm)   .96      .94       .94       .95
    digits (tabm)               .83      .83       .83       .83
    4,000 of cifar10 (resnet)   .75      .81       .78       .82
    sst2 (ngrams)               .55      .74       .58       .74
    sms-spam (ngrams)           .56      .91       .61       .90
    ItalyPowerDemand (inceptiontime) 1.0 .99       1.0       1.0
    beijing-pm25 (dlinear)       -       .85       .93       .92

The tenth nearest row in place of the nearest is worse in nearly all of them (adult .79 and .74), and the members of a
shared network side by side hardly better than their mean (adult .92, california-housing .96) at many times the cost.

Legend of shapes: N rows, R training rows, D features of the last hidden layer, M members.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from limpid.bundle.model import Model, forward
from limpid.core.seeds import generator

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

BEYOND = 0.05
"""Share of held-out rows that lie beyond the threshold."""

_WIDEST, _PROJECTED = 1_024, 512
_CHUNK = 2_048  # rows at a time


class Space:
    """The last hidden layer of a model, with some of its training rows in it.

    Args:
        model: whose space it is; of several networks the first one's.
        training: R encoded training rows.
    """

    def __init__(self, model: Model, training: Mapping[str, Array]) -> None:
        self._model = model
        self._projection: Floats | None = None
        among = self._vectors(training)
        if among.shape[1] > _WIDEST:
            # Distances survive a random projection to within some hundredths (Johnson and Lindenstrauss 1984).
            random = generator(0, "audit", "projection")
            self._projection = random.normal(size=(among.shape[1], _PROJECTED)) / np.sqrt(_PROJECTED)
        self._center, self._width = among.mean(axis=0), spread(among)
        self._training = self._views(among)

    def __call__(self, arrays: Mapping[str, Array]) -> Floats:
        """(N,2) the distances of encoded rows to the nearest training row: between directions, and scaled."""
        rows = len(next(iter(arrays.values())))
        pieces = []
        for start in range(0, rows, _CHUNK):
            views = self._views(self._vectors({n: a[start : start + _CHUNK] for n, a in arrays.items()}))
            pieces.append(np.stack([nearest(t, v) for t, v in zip(self._training, views, strict=True)], axis=1))
        return np.concatenate(pieces) if pieces else np.zeros((0, 2))

    def _views(self, vectors: Floats) -> tuple[Floats, Floats]:
        scaled = (vectors - self._center) / self._width
        if self._projection is not None:
            return unit(vectors @ self._projection), scaled @ self._projection
        return unit(vectors), scaled

    def _vectors(self, arrays: Mapping[str, Array]) -> Floats:
        """(N,D) what the head reads, the mean over members."""
        network = self._model.network

        def ask(batch: Mapping[str, Tensor]) -> Tensor:
            found = network.features(batch)
            return found.mean(dim=1) if found.dim() == 3 else found.flatten(1)

        return np.nan_to_num(forward(network, arrays, of=ask).astype(np.float64))


class Scale:
    """What is far: distances of rows that the model was not fitted to set it.

    Training rows cannot, since each of them is its own nearest neighbour.

    Args:
        held: (N,2) distances of held-out rows.

    Shapes and units:
        A score is in units of what held-out rows rarely exceed: about 1 at `threshold`.

    Example:
        >>> scale = Scale(np.stack([np.arange(100.0), np.arange(100.0)], axis=1))
        >>> round(scale.threshold, 3), scale(np.array([[190.0, 190.0]])).round(2).tolist()
        (1.0, [2.0])
    """

    def __init__(self, held: Floats) -> None:
        usual = np.array([_quantile(d) for d in held.T])
        self._usual = np.where(usual > 0, usual, 1.0)
        self.threshold = _quantile(self(held))

    def __call__(self, distances: Floats) -> Floats:
        """(N,) the mean of both distances, each in units of its own."""
        found: Floats = (distances / self._usual).mean(axis=1)
        return found


def unit(vectors: Floats) -> Floats:
    """(N,D) vectors at length 1; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Floats = vectors / np.where(length > 0, length, 1.0)
    return found


def spread(vectors: Floats) -> Floats:
    """(D,) standard deviation of each feature; of one that never varies the usual one of the others."""
    found = vectors.std(axis=0)
    alive = found > 1e-9 * max(float(found.max(initial=0.0)), 1e-300)
    return np.where(alive, found, float(np.median(found[alive])) if alive.any() else 1.0)


def nearest(among: Floats, rows: Floats) -> Floats:
    """(N,) Euclidean distance of each row to the nearest of others.

    Example:
        >>> nearest(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 1.0]])).tolist()
        [1.0]
    """
    squares = (rows**2).sum(axis=1)[:, None] + (among**2).sum(axis=1) - 2 * rows @ among.T
    found: Floats = np.sqrt(np.maximum(squares.min(axis=1), 0.0))
    return found


def _quantile(values: Floats) -> float:
    """What at most one in twenty further rows exceeds, for rows drawn alike (split conformal, Vovk et al. 2005)."""
    place = int(np.ceil((len(values) + 1) * (1 - BEYOND))) - 1
    return float(np.sort(values)[min(place, len(values) - 1)])
