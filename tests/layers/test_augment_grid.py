"""Changed pictures: independent of their batch, repeatable, closed forms, and Pillow's results where it has them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from limpid.core.forms import GridShape
from limpid.data.augment import GridAugmentSpec, plan_augment
from limpid.layers import recolour
from limpid.layers.augment_grid import GridAugment, hidden, mirrored, resampled, shifted
from limpid.layers.draws import Draws
from limpid.layers.trivial import changes, trivial_augment

OFF = GridAugmentSpec(flip="none", translate=0, crop=1)
SPECS = {
    "flip": OFF.with_(flip="horizontal"),
    "translate": OFF.with_(translate=0.2),
    "crop": OFF.with_(crop=0.3),
    "rotate": OFF.with_(rotate=40),
    "brightness": OFF.with_(brightness=0.5),
    "contrast": OFF.with_(contrast=0.5),
    "saturation": OFF.with_(saturation=0.8),
    "cutout": OFF.with_(cutout=0.4),
    "trivial": OFF.with_(policy="trivial"),
    "everything": GridAugmentSpec(
        flip="horizontal",
        translate=2,
        crop=0.5,
        rotate=10,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        cutout=0.2,
        policy="trivial",
    ),
}


def grid(channels, height, width):
    return GridShape(channels=channels, height=height, width=width, mean=(120.0,) * channels, std=(60.0,) * channels)


def pictures(rows=40, channels=3, height=10, width=14, seed=0):
    draws = np.random.default_rng(seed)
    smooth = draws.normal(size=(rows, channels, height, width)).cumsum(axis=2).cumsum(axis=3)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return torch.from_numpy((smooth * 255).astype(np.uint8))


def change(name, x, rows=None, passes=0, seed=0):
    rows = np.arange(len(x)) if rows is None else rows
    return GridAugment(SPECS[name], grid(*x.shape[1:]))({"pixels": x}, Draws(seed, passes, rows))["pixels"]


@pytest.mark.parametrize("kind", [torch.uint8, torch.float16, torch.float32])
@pytest.mark.parametrize("shape", [(3, 10, 14), (1, 9, 4), (3, 1, 3), (2, 3, 1)])
@pytest.mark.parametrize("name", list(SPECS))
def test_a_row_looks_the_same_in_any_batch(name, shape, kind):
    x = pictures(40, *shape).to(kind)
    whole = change(name, x)
    assert whole.shape == x.shape
    assert whole.dtype == kind
    assert torch.isfinite(whole.float()).all()
    assert torch.equal(change(name, x), whole)
    rows = np.array([31, 4, 17])
    some = change(name, x[rows], rows)
    torch.testing.assert_close(some.float(), whole[rows].float(), atol=1.0 if kind == torch.uint8 else 0.1, rtol=0)


@pytest.mark.parametrize("name", list(SPECS))
def test_most_rows_change_and_each_pass_and_seed_changes_them_otherwise(name):
    x = pictures(60)
    first = change(name, x)
    share = 0.3 if name == "flip" else 0.7
    for other in (x, change(name, x, passes=1), change(name, x, seed=1)):
        assert float((first != other).flatten(1).any(dim=1).float().mean()) > share
    assert GridAugment(SPECS[name], grid(3, 10, 14))


def test_nothing_asked_is_nothing_done():
    idle = GridAugment(OFF, grid(3, 10, 14))
    assert not idle
    x = pictures()
    assert torch.equal(idle({"pixels": x}, Draws(0, 0, np.arange(40)))["pixels"], x)


def test_two_passes_show_each_picture_both_ways():
    x = pictures(200)
    rows = np.arange(200)
    for passes in (0, 1, 6):
        one, two = (mirrored(x, Draws(3, p, rows)) for p in (passes, passes + 1))
        as_it_is = (one == x).flatten(1).all(dim=1)
        assert 60 < int(as_it_is.sum()) < 140
        assert torch.equal(two[as_it_is], x[as_it_is].flip(-1))
        assert torch.equal(two[~as_it_is], x[~as_it_is])


def test_shifts_are_those_of_reflected_padding():
    x = pictures(300).float()
    u = torch.from_numpy(np.random.default_rng(1).random((300, 2), np.float32))
    moved = shifted(x, (2, 3), u)
    padded = torch.nn.functional.pad(x, (3, 3, 2, 2), mode="reflect")
    down, right = (u[:, 0] * 5).long(), (u[:, 1] * 7).long()
    for n in range(300):
        assert torch.equal(moved[n], padded[n, :, down[n] : down[n] + 10, right[n] : right[n] + 14])
    assert len(torch.stack((down, right), dim=1).unique(dim=0)) == 35
    assert torch.equal(shifted(x.byte(), (2, 3), u), moved.byte())


def test_reading_at_the_same_places_is_the_picture_and_quarter_turns_are_exact():
    x = pictures(3, height=9, width=9)
    assert torch.equal(resampled(x, torch.eye(2, 3).repeat(3, 1, 1)), x)
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]).repeat(3, 1, 1)
    assert torch.equal(resampled(x, quarter), x.rot90(1, (2, 3)))


def test_turning_a_picture_that_is_no_square_keeps_right_angles():
    x = torch.zeros(1, 1, 21, 41)
    x[0, 0, 10, 20:30] = 1.0  # a bar of ten pixels to the right of the middle
    turn = GridAugment(OFF.with_(rotate=90), grid(1, 21, 41))

    class Quarter:
        passes = 0

        def uniform(self, purpose, *shape):
            return torch.full((1, *shape), 1.0 if purpose == "rotate" else 0.5)

    turned = turn._resampled(x, Quarter())
    assert float(turned[0, 0, :, 20].sum()) == pytest.approx(10, abs=0.6)
    assert float(turned.sum()) == pytest.approx(10, abs=0.6)


def test_crops_keep_the_share_of_the_area_that_was_asked():
    ramp = torch.arange(400.0).view(1, 1, 1, 400).expand(200, 1, 300, 400).contiguous()
    cropped = GridAugment(OFF.with_(crop=0.25), grid(1, 300, 400))({"pixels": ramp}, Draws(0, 0, np.arange(200)))
    wide = (cropped["pixels"][:, 0, 0].amax(dim=1) - cropped["pixels"][:, 0, 0].amin(dim=1)) / 400
    assert 0.25 * 0.7 < float(wide.min()) < 0.6
    assert float(wide.max()) > 0.95


def test_hidden_squares_have_their_size_and_the_mean():
    x = pictures(500, height=16, width=16)
    u = torch.from_numpy(np.random.default_rng(0).random((500, 2), np.float32))
    covered = hidden(x, 6, u, torch.tensor([1.2, 120.0, 254.6]))
    changed = (covered != x).any(dim=1).flatten(1).sum(dim=1)
    assert 30 < int(changed.max()) <= 36
    n = int(changed.argmax())
    place = (covered[n] != x[n]).any(dim=0).nonzero()[3]
    assert covered[n, :, place[0], place[1]].tolist() == [1, 120, 255]


def pillow(x, n):
    return Image.fromarray(x[n].permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("ours", "theirs", "tolerance"),
    [
        (lambda x, f: recolour.brighten(x, f), ImageEnhance.Brightness, 1),
        (lambda x, f: recolour.change_contrast(x, f), ImageEnhance.Contrast, 2),
        (lambda x, f: recolour.saturate(x, f), ImageEnhance.Color, 2),
        (lambda x, f: recolour.sharpen(x, f), ImageEnhance.Sharpness, 2),
    ],
)
def test_enhancements_are_pillows(ours, theirs, tolerance):
    x = pictures(6)
    factor = torch.tensor([0.0, 0.3, 0.9, 1.0, 1.4, 1.9])
    mine = recolour.stored(ours(x.float(), factor), torch.uint8)
    for n, f in enumerate(factor.tolist()):
        expected = np.asarray(theirs(pillow(x, n)).enhance(f)).transpose(2, 0, 1).astype(int)
        assert np.abs(mine[n].numpy().astype(int) - expected).max() <= tolerance


def test_operations_on_bytes_are_pillows():
    x = pictures(6, height=40, width=40)
    x[5] = 7
    threshold, bits = torch.full((6,), 100.0), torch.full((6,), 3.0)
    cases = (
        (recolour.posterise(x.float(), bits), lambda p: ImageOps.posterize(p, 3), 0),
        (recolour.solarise(x.float(), threshold), lambda p: ImageOps.solarize(p, 100), 0),
        (recolour.autocontrast(x.float()), ImageOps.autocontrast, 1),
        (recolour.equalise(x.float()), ImageOps.equalize, 0),
    )
    for mine, theirs, tolerance in cases:
        for n in range(6):
            expected = np.asarray(theirs(pillow(x, n))).transpose(2, 0, 1).astype(int)
            found = recolour.stored(mine[n], torch.uint8).numpy().astype(int)
            assert np.abs(found - expected).max() <= tolerance


def test_the_policy_leaves_a_share_alone_and_uses_all_of_its_list():
    x = pictures(1_400, height=24, width=24)  # below 256 pixels equalising does nothing
    draws = Draws(0, 0, np.arange(1_400))
    y = trivial_augment(x, draws)
    kept = float((y == x).flatten(1).all(dim=1).float().mean())
    assert 1 / 14 - 0.02 < kept < 0.2
    names = changes(3, torch.uint8)
    chosen = (draws.uniform("trivial change") * 14).long()
    for number, name in enumerate(names):
        rows = chosen == number
        assert 60 < int(rows.sum()) < 140
        moved = (y[rows] != x[rows]).flatten(1).any(dim=1).float().mean()
        assert moved == 0 if name == "none" else moved > 0.3, name
    grey = trivial_augment(x[:, :1].half(), replace(draws, passes=2))
    assert torch.isfinite(grey).all()


def test_colours_that_a_digit_does_not_have_are_left_alone():
    x = pictures(20, channels=1)
    assert torch.equal(change("saturation", x), x)


@pytest.mark.parametrize(
    ("channels", "side", "asymmetry", "flip", "crop"),
    [
        (3, 32, 0.001, "horizontal", 1.0),
        (3, 224, 0.3, "none", 0.5),
        (1, 28, 0.0, "none", 1.0),
        (3, 32, None, "none", 1.0),
    ],
)
def test_the_plan_mirrors_only_what_has_no_direction(channels, side, asymmetry, flip, crop):
    spec, because = plan_augment(GridAugmentSpec(), channels=channels, height=side, width=side, asymmetry=asymmetry)
    assert (spec.flip, spec.crop) == (flip, crop)
    assert set(because) == set(GridAugmentSpec().autos())
    assert all(len(reason) > 10 for reason in because.values())
    assert plan_augment(spec, channels=3, height=9, width=9, asymmetry=0.0) == (spec, {})
