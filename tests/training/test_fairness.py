"""Groups that are treated alike while a network learns: weights in closed form, an unbiased penalty with a true gradient."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_doubles import Classes, fingerprint, rows, settings, small

from limpid.core.events import CheckpointSaved
from limpid.data.encoded import Encoded, joined
from limpid.layers.scores import class_scores, value_scores
from limpid.training.batches import Source
from limpid.training.fairness import Penalty, reweighed, squared_gaps
from limpid.training.resume import identity
from limpid.training.supervised import fit


class Scored(Classes):
    def scores(self, outputs, target):
        return class_scores(outputs, target, multi_label=False)


def grouped(count=200, *, weight=False, seed=0):
    part = rows(count, weight=weight, seed=seed)
    draw = np.random.default_rng(seed + 5)
    group = np.where(draw.random(count) < 0.3 + 0.2 * part.target, 1, 0).astype(np.int64)
    group[draw.random(count) < 0.1] = -1
    return replace(part, group=group)


@pytest.mark.parametrize("weight", [False, True], ids=["equal", "weighted"])
def test_reweighed_rows_make_class_and_group_independent(weight):
    part = grouped(weight=weight)
    base = np.ones(len(part)) if part.weight is None else part.weight.astype(np.float64)
    found = reweighed(part, settings(fairness=("g",), fairness_by="reweigh"))
    new = found.weight.astype(np.float64)
    inside = part.group >= 0
    np.testing.assert_allclose(new[~inside], base[~inside], rtol=1e-6)
    total = base[inside].sum()
    for c in range(3):
        share = base[inside & (part.target == c)].sum() / total
        for g in range(2):
            mine = inside & (part.group == g)
            # Of each group the class has its share of all, and the group keeps its own mass.
            assert new[mine & (part.target == c)].sum() / new[mine].sum() == pytest.approx(share, rel=1e-5)
            assert new[mine].sum() == pytest.approx(base[mine].sum(), rel=1e-5)
            cell = mine & (part.target == c)
            closed = share * base[mine].sum() / base[cell].sum()
            np.testing.assert_allclose(new[cell] / base[cell], closed, rtol=1e-5)
    again = reweighed(found, settings(fairness=("g",), fairness_by="reweigh"))
    np.testing.assert_allclose(again.weight, found.weight, rtol=1e-5)


def test_nothing_is_reweighed_that_was_not_asked_for():
    part = grouped()
    for spec in (settings(), settings(fairness=("g",))):
        assert reweighed(part, spec) is part


def by_hand(score, cell, group, weight):
    """Every pair of different rows, with weights: what the penalty is in expectation."""
    found = []
    for c in np.unique(cell):
        for g in np.unique(group[group >= 0]):
            mine = (cell == c) & (group == g) & (weight > 0)
            other = (cell == c) & (group != g) & (group >= 0) & (weight > 0)
            if mine.sum() < 2 or other.sum() < 2:
                continue

            def pairs(a, b, same):
                w = np.outer(weight[a], weight[b])
                if same:
                    np.fill_diagonal(w, 0)
                return (w * np.outer(score[a], score[b])).sum() / w.sum()

            found.append(pairs(mine, mine, True) + pairs(other, other, True) - 2 * pairs(mine, other, False))
    return float(np.mean(found)) if found else 0.0


@pytest.mark.parametrize("seed", range(4))
def test_the_penalty_is_that_of_all_pairs_of_different_rows(seed):
    draw = np.random.default_rng(seed)
    score, cell, group = draw.random(60), draw.integers(0, 3, 60), draw.integers(-1, 3, 60)
    weight = draw.uniform(0.5, 2.0, 60) * (group >= 0)
    found = squared_gaps(
        torch.from_numpy(score[:, None]),
        torch.from_numpy(cell[:, None]),
        3,
        torch.from_numpy(group),
        3,
        torch.from_numpy(weight),
    )
    assert found.item() == pytest.approx(by_hand(score, cell, group, weight), rel=1e-9, abs=1e-12)


def test_the_gradient_of_the_penalty_is_right():
    draw = np.random.default_rng(0)
    score = torch.from_numpy(draw.random((24, 2))).requires_grad_()
    cell = torch.from_numpy(draw.integers(0, 2, (24, 2)))
    group, weight = torch.from_numpy(draw.integers(-1, 3, 24)), torch.from_numpy(draw.uniform(0.5, 2, 24))
    weight = weight * (group >= 0)
    assert torch.autograd.gradcheck(lambda s: squared_gaps(s, cell, 2, group, 3, weight), (score,))


def test_the_penalty_of_small_steps_is_that_of_all_rows_on_average():
    """Groups that do not differ pay nothing on average, however few rows a step has."""
    draw = np.random.default_rng(0)
    steps = []
    for _ in range(3000):
        score, group = torch.from_numpy(draw.normal(size=(12, 1))), torch.from_numpy(draw.integers(0, 2, 12))
        steps.append(
            squared_gaps(score, torch.zeros(12, 1, dtype=torch.int64), 1, group, 2, torch.ones(12).double()).item()
        )
    error = np.std(steps) / np.sqrt(len(steps))
    assert abs(np.mean(steps)) < 4 * error
    biased = np.mean([s for s in steps if s > 0])
    assert biased > 20 * error  # what squares of means would have given is far from nothing


@pytest.mark.parametrize("group", [[-1] * 6, [0] * 6, [0, 0, 0, 0, 0, 1]], ids=["none", "one", "a single row"])
def test_where_nothing_can_be_compared_nothing_is_paid(group):
    score = torch.rand(6, 1, requires_grad=True)
    group = torch.tensor(group)
    found = squared_gaps(score, torch.zeros(6, 1, dtype=torch.int64), 1, group, 2, (group >= 0).float())
    found.backward()
    assert found.item() == 0 and torch.equal(score.grad, torch.zeros(6, 1))


def test_scores_of_classes_labels_and_values():
    logits = torch.tensor([[0.0, np.log(3.0)], [0.0, 0.0]])
    score, cell, count = class_scores(logits, torch.tensor([1, 0]), multi_label=False)
    assert score.flatten().tolist() == pytest.approx([0.75, 0.5]) and cell.flatten().tolist() == [1, 0] and count == 2
    members = torch.stack([logits, torch.zeros(2, 2)], dim=1)
    assert class_scores(members, torch.tensor([1, 0]), multi_label=False)[0].flatten().tolist() == pytest.approx(
        [0.625, 0.5]
    )
    score, cell, count = class_scores(logits, torch.tensor([[1.0, 0.0], [0.0, 1.0]]), multi_label=True)
    assert score.tolist() == [pytest.approx([0.5, 0.25]), pytest.approx([0.5, 0.5])]
    assert cell.tolist() == [[1, 2], [0, 3]] and count == 4
    score, cell, count = value_scores(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.5]]), 3)
    assert (score.tolist(), cell.tolist(), count) == ([[1.5]], [[0]], 1)


def test_the_penalty_takes_the_gap_out_of_what_is_learnt():
    draw = np.random.default_rng(0)
    n = 2000
    numbers = draw.normal(size=(n, 4)).astype(np.float32)
    group = (numbers[:, 3] > 0).astype(np.int64)
    target = (numbers[:, 0] + 1.5 * group + 0.8 * draw.normal(size=n) > 0.75).astype(np.int64)
    codes = np.zeros((n, 1), dtype=np.int64)
    part = Encoded({"fields.numbers": numbers, "fields.categories": codes}, np.arange(n), target, None, group)

    def gap(weight):
        model = small(outputs=2, norm=False, dropout=0.0)
        spec = settings(epochs=20, batch=128, micro_batch=128, fairness=("g",), fairness_weight=weight)
        fit(model, Scored(), part, None, spec, seed=0)
        with torch.no_grad():
            batch = {name: torch.from_numpy(a) for name, a in part.arrays.items()}
            chance = model(batch).softmax(dim=1)[:, 1].numpy()
        told = chance > 0.5
        gaps = [
            abs(told[(target == c) & (group == 0)].mean() - told[(target == c) & (group == 1)].mean()) for c in (0, 1)
        ]
        return max(gaps), (told == target).mean()

    (before, right), (after, still) = gap(0.0), gap(10.0)
    assert before > 0.25
    assert after < 0.5 * before
    assert still > right - 0.12


def test_without_the_setting_groups_change_nothing():
    part = grouped()
    with_groups, without = small(), small()
    fit(with_groups, Scored(), part, None, settings(), seed=0)
    fit(without, Scored(), replace(part, group=None), None, settings(), seed=0)
    assert fingerprint(with_groups) == fingerprint(without)


@pytest.mark.parametrize("by", ["penalty", "reweigh"])
def test_it_resumes_to_the_same_bits(tmp_path, by):
    part = grouped(weight=True)
    spec = settings(fairness=("g",), fairness_by=by, epochs=4, checkpoint_seconds=0.0)
    copies = []

    def keep(event):
        if isinstance(event, CheckpointSaved) and event.step in (5, 17):
            copies.append(tmp_path / f"copy-{event.step}")
            shutil.copytree(tmp_path / "run", copies[-1])

    whole = small()
    fit(whole, Scored(), part, None, spec, seed=0, folder=tmp_path / "run", tell=keep)
    assert len(copies) == 2
    for copy in copies:
        again = small(seed=9)
        fit(again, Scored(), part, None, spec, seed=0, folder=copy, resume=True)
        assert fingerprint(again) == fingerprint(whole)


def test_another_grouping_is_another_training():
    part, spec = grouped(), settings(fairness=("g",))
    changed = replace(part, group=np.where(part.group == 0, 1, part.group))
    each = ((part, spec), (changed, spec), (part, settings()), (part, settings(fairness=("g",), fairness_weight=9.0)))
    assert len({identity(small(), p, None, s, 0, "cpu")["work"] for p, s in each}) == 4
    unused = settings(fairness_weight=9.0)
    same = {identity(small(), p, None, s, 0, "cpu")["work"] for p, s in ((part, unused), (part, settings()))}
    assert len(same) == 1


def test_groups_travel_with_their_rows():
    part = grouped()
    chosen = part.take(np.array([5, 3, 3]))
    assert chosen.group.tolist() == part.group[[5, 3, 3]].tolist()
    both = joined(part, part)
    assert both.group.tolist() == [*part.group.tolist()] * 2
    batch = Source(part, lambda t: t, "cpu").take(np.array([1, 7]))
    assert batch.group.tolist() == part.group[[1, 7]].tolist()
    assert Penalty(Scored(), settings(), part.group)(torch.zeros(2, 3), batch) == 0.0
