"""Distances equal their closed forms, planted strangers are told and twins are not, and levels follow from both."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from torch import nn

import limpid
from limpid.api.audit_rows import Subject, read
from limpid.api.audited import _place
from limpid.auditing import estranged, unlike
from limpid.auditing.apart import Scale, Space, nearest, spread, unit
from limpid.auditing.judged import judge
from limpid.auditing.spans import NONE, Span, auc, rate
from limpid.core.forms import SeqShape
from limpid.core.repairs import Repairs
from limpid.core.run import RunFolder
from limpid.data.table import open_table

RANDOM = np.random.default_rng(3)


class Plain(nn.Module):
    """A network whose last hidden layer is what it reads, members or not."""

    def features(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return batch["x"]


def space(training: np.ndarray) -> Space:
    model: Any = SimpleNamespace(network=Plain())
    return Space(model, {"x": training.astype(np.float32)})


def clusters(rows: int, seed: int) -> np.ndarray:
    """Two Gaussian clusters in 20 dimensions."""
    g = np.random.default_rng(seed)
    centre = np.where(g.random((rows, 1)) < 0.5, 2.0, -2.0) * np.sign(np.arange(20) % 3 - 0.5)
    return centre + g.normal(size=(rows, 20))


def test_distances_equal_those_of_scikit_learn_and_scipy() -> None:
    among, rows = RANDOM.normal(2, 3, size=(300, 7)), RANDOM.normal(2, 3, size=(50, 7))
    found = NearestNeighbors(n_neighbors=1).fit(among).kneighbors(rows)[0][:, 0]
    assert nearest(among, rows) == pytest.approx(found)
    assert unit(rows) == pytest.approx(normalize(rows))
    assert (unit(np.zeros((1, 3))) == 0).all()
    both = space(among)({"x": rows.astype(np.float32)})
    among, rows = among.astype(np.float32).astype(float), rows.astype(np.float32).astype(float)
    assert both[:, 0] == pytest.approx(cdist(normalize(rows), normalize(among)).min(axis=1), abs=1e-7)
    assert both[:, 1] == pytest.approx(cdist(rows / among.std(0), among / among.std(0)).min(axis=1), rel=1e-7)


def test_a_feature_that_never_varied_counts_as_the_usual_one() -> None:
    values = np.stack([np.arange(9.0), np.full(9, 4.0), 3 * np.arange(9.0)], axis=1)
    assert spread(values) == pytest.approx([values[:, 0].std(), 2 * values[:, 0].std(), values[:, 2].std()])
    assert (spread(np.ones((5, 2))) == 1).all()


def test_members_count_by_their_mean_and_wide_layers_are_projected_with_their_distances() -> None:
    training, rows = RANDOM.normal(size=(40, 6)), RANDOM.normal(size=(10, 6))
    sway = RANDOM.normal(size=(1, 4, 1))
    members = [(v[:, None, :] + sway - sway.mean()).astype(np.float32) for v in (training, rows)]
    model: Any = SimpleNamespace(network=Plain())
    apart = Space(model, {"x": members[0]})({"x": members[1]})
    assert apart == pytest.approx(space(training)({"x": rows.astype(np.float32)}), abs=1e-5)
    wide = [RANDOM.normal(size=(n, 3_000)) for n in (60, 20)]
    found = space(wide[0])({"x": wide[1].astype(np.float32)})
    assert found[:, 1] == pytest.approx(cdist(wide[1], wide[0]).min(axis=1), rel=0.15)


def test_a_far_third_cluster_is_told_and_rows_of_the_same_clusters_are_not() -> None:
    apart = space(clusters(600, 0))
    scale = Scale(apart({"x": clusters(400, 1).astype(np.float32)}))
    usual, twins = (scale(apart({"x": clusters(500, s).astype(np.float32)})) for s in (2, 3))
    third = np.random.default_rng(4).normal(size=(500, 20)) + 9.0 * (np.arange(20) % 2)
    mark = np.repeat([False, True], 500)
    far = scale(apart({"x": third.astype(np.float32)}))
    told, same = (auc(mark, np.concatenate([usual, other])) for other in (far, twins))
    assert told.value == pytest.approx(1.0, abs=1e-3)
    assert told.value == roc_auc_score(mark, np.concatenate([usual, far]))
    assert same.value == pytest.approx(0.5, abs=0.06)
    assert unlike.level_of(kind(score=told, sure=rate(10, 500))) == "ok"
    assert unlike.level_of(kind(score=same, sure=rate(10, 500))) == "look"
    assert unlike.level_of(kind(score=same, sure=rate(450, 500))) == "warning"


def test_about_one_in_twenty_further_rows_lies_beyond_the_threshold() -> None:
    g = np.random.default_rng(0)
    beyond = []
    for _ in range(200):
        scale = Scale(g.exponential(size=(100, 2)))
        beyond.append((scale(g.exponential(size=(200, 2))) > scale.threshold).mean())
    assert np.mean(beyond) == pytest.approx(5 / 101, abs=0.006)
    assert Scale(np.zeros((30, 2))).threshold == 0


def kind(**changed: Any) -> unlike.Kind:
    usual = unlike.Kind("far", "numbers", 500, NONE, NONE, 0.8, 0.8, rate(10, 500), rate(10, 500), None, False)
    return replace(usual, **changed)


@pytest.mark.parametrize(
    ("name", "area", "sure", "width", "stays", "level"),
    [
        ("far", 0.99, 0.1, None, False, "ok"),
        ("far", 0.99, 0.9, None, False, "look"),
        ("far", 0.75, 0.9, None, False, "look"),
        ("far", 0.55, 0.9, None, False, "warning"),
        ("far", 0.55, 0.9, None, True, "ok"),
        ("far", 0.55, None, 1.0, False, "warning"),
        ("far", 0.55, None, 2.0, False, "look"),
        ("far", 0.99, None, None, False, "ok"),
        ("dealt", 0.55, 0.9, None, False, "look"),
        ("dealt", 0.9, 0.9, None, False, "ok"),
    ],
)
def test_levels(name: str, area: float, sure: float | None, width: float | None, stays: bool, level: str) -> None:
    share = None if sure is None else rate(round(500 * sure), 500)
    found = kind(name=name, score=Span(area, area - 0.02, area + 0.02, 1000), sure=share, width=width, stays=stays)
    assert unlike.level_of(found) == level
    (finding,) = unlike.findings_of(replace(NOTHING, kinds=(found,)), 500)
    assert finding.level == level
    assert "numbers" in finding.what


NOTHING = unlike.Unlike((), "training rows", NONE, NONE, "mean loss", NONE, NONE, NONE, ())


def test_the_judged_rows_decide_their_own_finding() -> None:
    def finding(hits: int, wrong: int = 0, other: int = 20) -> list[str]:
        first, second = rate(wrong, 40), rate(other, 360)
        gap = unlike.spans.rate_gap(first, second)
        found = replace(NOTHING, beyond=rate(hits, 400), usual=rate(20, 400), wrong=first, wrong_else=second, gap=gap)
        return [f.level for f in unlike.findings_of(found, 400)]

    assert finding(21) == ["ok", "ok"]
    assert finding(60) == ["look", "ok"]
    assert finding(200, wrong=30) == ["warning", "look"]
    assert [f.level for f in unlike.findings_of(None, 12)] == ["look"]


def test_strange_rows_of_a_table_and_its_texts_are_told(subject: Subject) -> None:
    found = unlike.measure(subject.everything, _place(subject), own=True)
    assert found is not None
    by_name = {k.name: k for k in found.kinds}
    assert list(by_name) == ["dealt", "far", "unseen", "jumbled", "scrambled", "foreign"]
    assert (by_name["far"].score.value or 0) > 0.95
    assert all(k.score.low is not None and k.top is not None and k.doubt.value is not None for k in found.kinds)
    assert found.compared == "training rows"
    assert found.beyond.value == pytest.approx(0.05, abs=0.05)
    scores = [score for _, score in found.rows]
    assert scores == sorted(scores, reverse=True)
    assert {row for row, _ in found.rows} <= set(subject.held.rows.tolist())
    assert json.loads(json.dumps(found.as_dict()))["kinds"][0]["name"] == "dealt"
    again = unlike.measure(subject.everything, _place(subject), own=True)
    assert again == found


def test_a_regression_is_held_against_the_width_of_its_interval(values_subject: Subject) -> None:
    found = unlike.measure(values_subject.everything, _place(values_subject), own=True)
    assert found is not None
    assert found.by == "mean loss"
    assert all(k.top is None and k.sure is None and k.width is not None for k in found.kinds)


def test_a_file_of_another_kind_lies_beyond(classified: limpid.Run) -> None:
    frame = pl.read_csv(classified.path.parent / "data.csv").head(300)
    other = frame.with_columns(pl.col("x") * 0 + 40.0, pl.col("z") * 0 - 40.0, town=pl.lit("elsewhere"))
    subject = read(classified.model.bundle, open_table(other), [], RunFolder(classified.path), Repairs())
    found = unlike.measure(subject.everything, _place(subject), own=bool(subject.part))
    assert found is not None
    assert (found.beyond.value or 0) > 0.9
    assert any(
        f.level == "warning" and "are unlike the training rows" in f.what for f in unlike.findings_of(found, 300)
    )
    assert all(k.rows <= 900 for k in found.kinds), "the score is tested on held-out rows of the training file"


def test_rows_of_a_bundle_are_compared_with_each_other(subject: Subject) -> None:
    alone = replace(subject.held, part=np.full(len(subject.held), ""))
    found = unlike.measure(alone, np.arange(len(alone)), own=False)
    assert found is not None
    assert found.compared == "other rows of DATA"
    assert all("of the rows" not in f.what for f in unlike.findings_of(found, len(alone)))
    assert unlike.measure(alone.take(np.arange(50)), np.arange(50), own=False) is None
    learnt = subject.everything.parts("train")
    division = unlike._divided(learnt, np.arange(len(learnt)), False)
    assert division is not None
    assert division.compared == "other rows of DATA", "a row is no training row of its own"
    assert len(np.intersect1d(division.training, np.union1d(division.aside, division.judged))) == 0


def test_dealt_columns_keep_their_cells_and_lose_their_rows(subject: Subject) -> None:
    held = subject.held
    arrays = estranged.dealt(held, np.random.default_rng(0))
    assert arrays is not None
    for part in ("numbers", "missing", "categories"):
        before, after = (a[f"fields.{part}"] for a in (held.arrays, arrays))
        assert (np.sort(before, axis=0) == np.sort(after, axis=0)).all()
    gone = arrays["fields.missing"] > 0
    assert (arrays["fields.numbers"][gone] == 0).all(), "a cell and its flag stay together"
    moved = (arrays["fields.numbers"] != held.arrays["fields.numbers"]).mean(axis=0)
    assert (moved > 0.8).all()


def test_far_numbers_and_unseen_categories_are_what_they_say(subject: Subject) -> None:
    held = subject.held
    arrays = estranged.far(held, np.random.default_rng(0))
    assert arrays is not None
    before, after = (a["fields.numbers"] for a in (held.arrays, arrays))
    assert ((after >= before.max(axis=0)) | (after <= before.min(axis=0))).all()
    arrays = estranged.unseen(held, np.random.default_rng(0))
    assert arrays is not None
    assert (arrays["fields.categories"] == 1).all()
    assert (arrays["fields.numbers"] == held.arrays["fields.numbers"]).all()


def test_texts_keep_their_length_and_lose_their_sense(subject: Subject) -> None:
    held = subject.held.take(np.arange(40))
    seen: list[pl.DataFrame] = []
    held = replace(held, bundle=recording(held.bundle, seen))
    for change in (estranged.jumbled, estranged.scrambled, estranged.foreign):
        change(held, np.random.default_rng(0))
    before = held.frame["note"].to_list()
    words = {w for t in before for w in t.split()}
    for frame in seen:
        assert [len(t.split()) for t in frame["note"]] == [len(t.split()) for t in before]
    jumbled, scrambled, foreign = ({w for t in frame["note"] for w in t.split()} for frame in seen)
    assert jumbled <= words
    assert len(scrambled & words) < 5
    assert not {c for w in foreign for c in w} & {c for w in words for c in w}


def recording(bundle: Any, seen: list[pl.DataFrame]) -> Any:
    """The same model, keeping the raw rows that it encodes."""

    class Encoders:
        columns = bundle.encoders.columns

        def encode(self, frame: pl.DataFrame, repairs: Repairs) -> Any:
            seen.append(frame)
            return bundle.encoders.encode(frame, repairs)

    return SimpleNamespace(encoders=Encoders())


def test_pictures_are_cut_inverted_and_snowed_under(subject: Subject) -> None:
    pixels = RANDOM.integers(0, 256, (6, 3, 18, 17)).astype(np.uint8)
    pictures = replace(subject.held.take(np.arange(6)), arrays={"face.pixels": pixels})
    changed = [c(pictures, np.random.default_rng(0)) for c in (estranged.patches, estranged.inverted, estranged.snow)]
    patches, inverted, snow = (c["face.pixels"] for c in changed if c is not None)
    assert (np.sort(patches.reshape(6, 3, -1)) == np.sort(pixels.reshape(6, 3, -1))).all(), "no pixel is lost"
    assert {tuple(p.ravel()) for p in blocks(pixels[0])} == {tuple(p.ravel()) for p in blocks(patches[0])}
    assert (patches != pixels).mean() > 0.5
    back = estranged.inverted(replace(pictures, arrays={"face.pixels": inverted}), RANDOM)
    assert back is not None
    assert (back["face.pixels"] == pixels).all()
    assert snow.mean(axis=(2, 3)) == pytest.approx(pixels.mean(axis=(2, 3)), abs=15)
    assert np.corrcoef(snow.ravel(), pixels.ravel())[0, 1] == pytest.approx(0, abs=0.1)


def blocks(picture: np.ndarray) -> list[np.ndarray]:
    """The sixteen patches of a picture, (C,4,4) each of 18 by 17 pixels."""
    return [picture[:, y : y + 4, x : x + 4] for y in range(0, 16, 4) for x in range(0, 16, 4)]


def test_series_are_turned_replaced_and_moved_up_to_the_cutoff(subject: Subject) -> None:
    values = RANDOM.normal(3, 2, size=(5, 12, 2)).astype(np.float32)
    length = np.array([12, 12, 7, 9, 12], dtype=np.int32)
    encoders = SimpleNamespace(shapes=lambda: {"w": SeqShape(width=2, length=12, ahead=3)})
    judged = subject.held.take(np.arange(5))
    judged = replace(judged, bundle=SimpleNamespace(encoders=encoders), arrays={"w.values": values, "w.length": length})  # type: ignore[arg-type]
    turned, hiss, moved = (
        c(judged, np.random.default_rng(0)) for c in (estranged.backwards, estranged.hiss, estranged.moved)
    )
    assert turned is not None
    assert hiss is not None
    assert moved is not None
    known = np.minimum(length, 9)
    for n, steps in enumerate(known):
        assert (turned["w.values"][n, :steps] == values[n, :steps][::-1]).all()
        shift = moved["w.values"][n, :steps] - values[n, :steps]
        assert np.abs(shift) == pytest.approx(np.tile(5 * values.std(axis=(0, 1)), (steps, 1)), rel=1e-4)
        for found in (turned, hiss, moved):
            assert (found["w.values"][n, steps:] == values[n, steps:]).all()


def test_judged_again_gives_the_same_rows(subject: Subject) -> None:
    held = subject.held
    found = judge(held.bundle, held.frame, held.arrays, held.target, held.rows, held.part)
    assert unlike._stays(held, found.prediction)
    far = estranged.far(held, np.random.default_rng(0))
    assert far is not None
    assert not unlike._stays(held, unlike.again(held, far))
