import pytest
import torch

from limpid.layers.mixing import mix

X = torch.arange(4 * 3 * 8 * 6, dtype=torch.uint8).view(4, 3, 8, 6)
PARTNER = torch.tensor([2, 0, 3, 3])


def test_mixup_is_the_mean_by_shares():
    share = torch.tensor([0.0, 0.25, 1.0, 0.5])
    parts, own = mix({"pixels": X, "present": torch.ones(4)}, "mixup", share, PARTNER)
    for n in range(4):
        expected = share[n] * X[n].float() + (1 - share[n]) * X[PARTNER[n]].float()
        torch.testing.assert_close(parts["pixels"][n], expected)
    assert torch.equal(own, share)
    assert torch.equal(parts["present"], torch.ones(4))


@pytest.mark.parametrize("middle", [0.5, 0.0, 0.99])
def test_cutmix_puts_a_rectangle_of_the_partner_in_and_says_how_much(middle):
    share = torch.tensor([0.0, 0.75, 1.0, 0.5])
    parts, own = mix({"pixels": X}, "cutmix", share, PARTNER, torch.full((4, 2), middle))
    mixed = parts["pixels"]
    assert mixed.dtype == torch.uint8
    for n in range(4):
        same = (mixed[n] == X[n]).all(dim=0)
        theirs = (mixed[n] == X[PARTNER[n]]).all(dim=0)
        assert (same | theirs).all()
        if n != 3:  # its partner is itself
            assert float(same.float().mean()) == pytest.approx(float(own[n]), abs=1e-6)
    assert own[2] == 1.0
    if middle == 0.5:
        assert own[0] == 0.0
        assert float(own[1]) == pytest.approx(0.75)
