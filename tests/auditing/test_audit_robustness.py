"""Changes change what they say they do, FGSM is its closed form, levels follow from paired intervals."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from limpid.api.audit_rows import Subject
from limpid.auditing import changes, robustness
from limpid.auditing.judged import Judged, again


def test_noise_is_a_tenth_of_a_standard_deviation(subject: Subject) -> None:
    judged = subject.everything
    arrays = changes.noise(judged, np.random.default_rng(0))
    assert arrays is not None
    moved = arrays["fields.numbers"] - judged.arrays["fields.numbers"]
    there = judged.arrays["fields.missing"] == 0
    for f in range(moved.shape[1]):
        own = judged.arrays["fields.numbers"][:, f][there[:, f]]
        assert moved[there[:, f], f].std() == pytest.approx(0.1 * own.std(), rel=0.1)
        assert (moved[~there[:, f], f] == 0).all(), "a missing number stays missing"
    same = [k for k in arrays if k != "fields.numbers"]
    assert all((arrays[k] == judged.arrays[k]).all() for k in same)


def test_gaps_are_as_many_as_they_say(subject: Subject) -> None:
    judged = subject.everything
    arrays = changes.gaps(0.2)(judged, np.random.default_rng(0))
    assert arrays is not None
    before, after = (a["fields.missing"].mean() for a in (judged.arrays, arrays))
    assert after == pytest.approx(before + 0.2 * (1 - before), abs=0.03)
    assert (arrays["fields.categories"] == 0).mean() == pytest.approx(0.2, abs=0.03)


def test_one_word_of_ten_is_misspelt() -> None:
    g = np.random.default_rng(0)
    words = ["window"] * 5_000
    changed = changes.misspelt(" ".join(words), g).split(" ")
    different = [c for c in changed if c != "window"]
    assert len(different) == pytest.approx(500, abs=80)
    assert {"".join(sorted(c)) for c in different} == {"".join(sorted("window"))}


def test_pictures_are_blurred_and_moved(subject: Subject) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32)).astype(np.uint8)
    pictures = replace(subject.held.take(np.arange(4)), arrays={"face.pixels": pixels})
    blurred = changes.blur(pictures, np.random.default_rng(0))
    assert blurred is not None
    assert blurred["face.pixels"][1, 2, 5, 6] == round(float(pixels[1, 2, 4:7, 5:8].astype(float).mean()))
    moved = changes.shift(pictures, np.random.default_rng(0))
    assert moved is not None
    assert (moved["face.pixels"][..., 2:] == pixels[..., :-2]).all()
    assert (moved["face.pixels"][..., 0] == pixels[..., 0]).all()


def test_half_precision_is_measured_in_full(subject: Subject) -> None:
    heard = np.random.default_rng(0).normal(20, 3, (4, 1, 80, 60)).astype(np.float16)
    spectrograms = replace(subject.held.take(np.arange(4)), arrays={"sound.pixels": heard})
    assert heard.size * 20 > 65_504, "a sum in half precision would be infinite"
    noisy = changes.noise(spectrograms, np.random.default_rng(0))
    assert noisy is not None
    assert (noisy["sound.pixels"].astype(float) - heard).std() == pytest.approx(0.3, rel=0.05)
    assert robustness._steps(spectrograms)["sound.pixels"].ravel() == pytest.approx(0.3, rel=0.05)


def test_fgsm_steps_along_the_sign_of_the_gradient(subject: Subject) -> None:
    judged = subject.held.take(np.arange(40))
    arrays = robustness.on_purpose(judged)
    assert arrays is not None
    moved = arrays["fields.numbers"] - judged.arrays["fields.numbers"]
    batch = {k: torch.from_numpy(np.array(v)) for k, v in judged.arrays.items()}
    batch["fields.numbers"].requires_grad_(True)
    outputs = judged.bundle.network(batch)
    loss = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(judged.target), reduction="sum")
    (slope,) = torch.autograd.grad(loss, [batch["fields.numbers"]])
    there = judged.arrays["fields.missing"] == 0
    spread = np.nanstd(np.where(there, judged.arrays["fields.numbers"], np.nan), axis=0)
    assert moved == pytest.approx(np.where(there, 0.1 * spread * np.sign(slope.numpy()), 0), abs=1e-5)
    assert judged.bundle.task.example_loss(judged.target, again(judged, arrays)).mean() > judged.loss.mean()


def test_what_does_not_harm_is_ok_and_what_harms_is_not(subject: Subject) -> None:
    found = robustness.measure(subject.held)
    assert {c.name for c in found} >= {"noise", "missing_5", "missing_20", "typos", "fgsm"}
    fgsm = next(c for c in found if c.name == "fgsm" and c.metric == "log_loss")
    assert fgsm.after > fgsm.before
    assert fgsm.worse == fgsm.after - fgsm.before
    assert fgsm.worse_low is not None
    assert fgsm.worse_low > 0
    levels = {c.name: robustness._level(c) for c in found if c.metric == "accuracy"}
    assert levels["noise"] == "ok"
    assert levels["missing_20"] == "look"


def test_a_model_that_breaks_under_noise_is_a_warning(subject: Subject) -> None:
    change = robustness.Change("noise", "noise", "accuracy", 0.9, 0.7, 0.2, 0.15, 0.25, 500)
    (finding,) = robustness.findings_of([change])
    assert finding.level == "warning"
    unsure = replace(change, worse_low=-0.01)
    assert [f.level for f in robustness.findings_of([unsure])] == ["ok"]


def test_several_networks_and_values_are_reached(values_subject: Subject) -> None:
    held: Judged = values_subject.held
    found = {c.name: c for c in robustness.measure(held)}
    assert found["fgsm"].metric == held.bundle.task.metrics[0].name
    assert found["fgsm"].after > found["fgsm"].before
