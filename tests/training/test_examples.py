"""What a step learns from: augmented rows, and pairs of rows whose loss is that of both."""

import numpy as np
import torch
from training_doubles import Classes

from limpid.planning.augmentation import Augmentation
from limpid.planning.train_spec import TrainSpec
from limpid.training.batches import Batch, cut
from limpid.training.course import Course
from limpid.training.examples import Examples
from limpid.training.objective import batch_losses, example_losses


def batch(rows=8):
    pixels = torch.arange(rows * 3 * 4 * 4, dtype=torch.float32).view(rows, 3, 4, 4)
    target = torch.arange(rows) % 2
    return Batch({"image.pixels": pixels, "image.present": torch.ones(rows)}, target, None, np.arange(rows))


def test_without_settings_the_rows_are_left_alone():
    whole = batch()
    assert Examples(None, TrainSpec(), 0, Course(10))(whole, 3, 0) is whole


def test_an_augmenter_sees_the_parts_of_its_input_and_the_rows_own_numbers():
    seen = []

    def change(parts, draws):
        seen.append((sorted(parts), draws.rows.tolist(), draws.passes))
        return {"pixels": parts["pixels"] + 1}

    whole = batch()
    found = Examples(Augmentation({"image": change}, 0), TrainSpec(), 0, Course(10))(whole, 3, 2)
    assert seen == [(["pixels", "present"], list(range(8)), 2)]
    assert torch.equal(found.inputs["image.pixels"], whole.inputs["image.pixels"] + 1)
    assert torch.equal(found.inputs["image.present"], whole.inputs["image.present"])


def test_mixup_mixes_pictures_and_losses_by_the_same_shares():
    whole = batch()
    found = Examples(None, TrainSpec(mix="mixup"), 0, Course(10))(whole, 3, 0)
    again = Examples(None, TrainSpec(mix="mixup"), 0, Course(10))(whole, 3, 0)
    assert torch.equal(found.share, again.share) and torch.equal(found.partner, again.partner)
    assert not torch.equal(found.share, Examples(None, TrainSpec(mix="mixup"), 0, Course(10))(whole, 4, 0).share)
    task = Classes()
    outputs = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    own, other = (example_losses(task.loss, outputs, t) for t in (whole.target, found.partner))
    wanted = found.share * own + (1 - found.share) * other
    torch.testing.assert_close(batch_losses(task.loss, outputs, found), wanted)
    part = cut(found, slice(2, 5))
    torch.testing.assert_close(batch_losses(task.loss, outputs[2:5], part), wanted[2:5])


def test_cutmix_keeps_whole_pixels_of_either_row():
    whole = batch()
    found = Examples(None, TrainSpec(mix="cutmix"), 0, Course(10))(whole, 0, 0)
    own = found.inputs["image.pixels"] == whole.inputs["image.pixels"]
    torch.testing.assert_close(own.all(dim=1).float().mean(dim=(1, 2))[found.partner.ne(-1)] >= found.share - 1e-6,
                               torch.ones(8, dtype=torch.bool))  # fmt: skip


def test_pictures_are_small_in_the_first_share_of_all_steps():
    whole = batch()
    shown = Examples(None, TrainSpec(small=0.5), 0, Course(10))
    sides = [tuple(shown(whole, step, 0).inputs["image.pixels"].shape[2:]) for step in (0, 4, 5, 9)]
    assert sides == [(3, 3), (3, 3), (4, 4), (4, 4)]
    small = shown(whole, 0, 0).inputs["image.pixels"].float()
    torch.testing.assert_close(small.mean(), whole.inputs["image.pixels"].float().mean(), rtol=0.1, atol=1.0)
