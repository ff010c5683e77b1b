"""A first layer that is found and not learnt: patches of training pictures, made uncorrelated.

Legend: B examples, C channels, H height, W width, K filters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_MOST_PATCHES = 200_000
_FLOOR = 5e-4


class Whitening(nn.Module):
    """A convolution whose filters whiten the patches that it sees.

    The filters are the leading eigenvectors of the covariance of training patches, divided by the root of their
    eigenvalues, each together with its negative, so that a rectifier after them loses nothing (Page 2018, "How to
    train your ResNet"; Jordan 2024, arXiv 2404.00498). They are a buffer and stay as they are; only the bias learns.

    Args:
        channels: C.
        kernel: height and width of a patch.
        stride: step between patches, the same in both directions.
        components: eigenvectors at most; there are K = 2 * min(components, C * height * width) filters.

    Shapes and units:
        (B,C,H,W) to (B,K,(H-kernel)/stride+1,(W-kernel)/stride+1).

    Example:
        >>> Whitening(3, (2, 2), 1, 12)(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 24, 7, 7])
    """

    weight: Tensor

    def __init__(self, channels: int, kernel: tuple[int, int], stride: int, components: int) -> None:
        super().__init__()
        inputs = channels * kernel[0] * kernel[1]
        self.components = min(components, inputs)
        self.kernel = kernel
        self.stride = stride
        self.filters = 2 * self.components
        # Until training examples were seen: directions at random.
        half = torch.randn(self.components, channels, *kernel) * inputs**-0.5
        self.register_buffer("weight", torch.cat([half, -half]))
        self.bias = nn.Parameter(torch.zeros(self.filters))

    @torch.no_grad()
    def prepare(self, pixels: Tensor) -> None:
        """Find the filters in training examples (N,C,H,W)."""
        kernel, stride = self.kernel, self.stride
        places = ((pixels.shape[2] - kernel[0]) // stride + 1) * ((pixels.shape[3] - kernel[1]) // stride + 1)
        step = max(1, -(-len(pixels) * places // _MOST_PATCHES))
        patches = F.unfold(pixels[::step].float(), kernel, stride=stride).transpose(1, 2).flatten(0, 1)
        values, vectors = torch.linalg.eigh((patches.t() @ patches / len(patches)).double())
        scaled = vectors * (values.clamp(min=0.0) + _FLOOR).rsqrt()
        leading = scaled.flip(1)[:, : self.components].t().reshape(self.components, -1, *kernel)
        self.weight.copy_(torch.cat([leading, -leading]))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B,K,...)."""
        return F.conv2d(pixels, self.weight, self.bias, stride=self.stride)

    def extra_repr(self) -> str:
        """Sizes, for drawings of the network."""
        return f"{self.filters} filters of {self.kernel}, stride {self.stride}"
