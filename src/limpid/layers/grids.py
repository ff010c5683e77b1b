"""Bricks of nets that read grids: convolutions, norms and pooling that any height and width can pass, and their size.

Legend: B examples, C channels, H height, W width.
"""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.contracts import Size
from limpid.layers.convolve import Convolution
from limpid.layers.initialise import gain
from limpid.layers.norms import Norm
from limpid.layers.sizing import Allowance

_SEEN_EXAMPLES = 400_000
_LEAST_PASSES, _MOST_PASSES = 6, 60
_UNHURRIED_SECONDS = 600.0
_EFFICIENCY = 0.6
_BACKWARD = 3.0
_SMALL = 0.75
_PREDICT_SECONDS, _PREDICT_ROWS = 30.0, 10_000


class GridBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of each channel that also takes a batch with a single value a channel in training.

    The variance of one value is zero, so such a batch is normalised with the running statistics.

    Args:
        channels: C.
        momentum: share of the newest batch in the running statistics.

    Shapes and units:
        (B,C,H,W) to (B,C,H,W).

    Example:
        >>> GridBatchNorm(3)(torch.ones(1, 3, 1, 1)).shape
        torch.Size([1, 3, 1, 1])
    """

    def __init__(self, channels: int, *, momentum: float = 0.1) -> None:
        super().__init__(channels, momentum=momentum)

    def forward(self, input: Tensor) -> Tensor:
        """(B,C,H,W) normalised."""
        if self.training and input.numel() < 2 * input.shape[1]:
            mean, variance = self.running_mean, self.running_var
            return F.batch_norm(input, mean, variance, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(input)


def grid_norm(name: Norm, channels: int) -> nn.Module | None:
    """The normalisation called `name`, or None for "none"; "layer" takes all values of an example together.

    Example:
        >>> grid_norm("layer", 8)
        GroupNorm(1, 8, eps=1e-05, affine=True)
    """
    if name == "batch":
        return GridBatchNorm(channels)
    if name == "layer":
        return nn.GroupNorm(1, channels)
    return None


def convolution(inputs: int, outputs: int, kernel: int, *, bias: bool = False) -> nn.Conv2d:
    """A convolution that keeps height and width, with weights after He et al. (2015, arXiv 1502.01852).

    Args:
        inputs, outputs: channels.
        kernel: height and width of the filters, an odd number.
        bias: whether it has one; a norm that follows brings its own.
    """
    layer = Convolution(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    with torch.no_grad():
        layer.weight.normal_(0.0, gain("relu") * (inputs * kernel * kernel) ** -0.5)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


def halved(height: int, width: int) -> tuple[int, int]:
    """Height and width after `halving`.

    Example:
        >>> halved(7, 1)
        (3, 1)
    """
    return max(1, height // 2), max(1, width // 2)


def halving(kind: str, height: int, width: int) -> nn.Module:
    """Pooling over two by two places; a side of one place is left alone.

    Args:
        kind: "max" or "mean".
        height, width: of what comes in.
    """
    size = (min(2, height), min(2, width))
    return nn.MaxPool2d(size) if kind == "max" else nn.AvgPool2d(size)


def shrunk(pixels: Tensor) -> Tensor:
    """Pictures at three quarters of their sides, each place the mean of those that it covers.

    Args:
        pixels: (B,C,H,W) uint8 or float.

    Example:
        >>> shrunk(torch.full((1, 3, 32, 32), 7, dtype=torch.uint8)).unique(), shrunk(torch.zeros(1, 1, 8, 4)).shape
        (tensor([7], dtype=torch.uint8), torch.Size([1, 1, 6, 3]))
    """
    size = [max(1, round(_SMALL * side)) for side in pixels.shape[2:]]
    whole = pixels.dtype == torch.uint8
    # Bytes have arithmetic of their own for this on a processor, and none on a GPU.
    kept = pixels if whole and pixels.device.type == "cpu" else pixels.float()
    small = F.interpolate(kept, size=size, mode="bilinear", antialias=True)
    return (small.round().clamp(0, 255) if whole else small).to(pixels.dtype)


def convolution_flops(inputs: int, outputs: int, kernel: int, height: int, width: int) -> float:
    """Multiplications and additions of a convolution that gives (outputs, height, width) for one example."""
    return 2.0 * inputs * outputs * kernel * kernel * height * width


def grid_allowance(size: Size, *, seen: int = _SEEN_EXAMPLES, efficiency: float = _EFFICIENCY) -> Allowance:
    """The operations that one example's forward pass may cost, from rows, seconds and speed.

    Training: seconds * efficiency * speed / (3 * rows * passes), where passes lets enough examples be seen, within 6 to
    60 passes; without a budget, 600 seconds are assumed. Predicting: 10,000 examples in 30 seconds. The smaller counts.
    The speed is that of bfloat16 where the processor has it: convolutions of such nets are measured to gain all of it.

    Args:
        size: of the data, and the time.
        seen: examples that are to be seen in training, repeated ones included.
        efficiency: share of the speed of large products that the net is measured to reach.

    Example:
        >>> round(grid_allowance(Size(rows=45_000, outputs=10, task="classification", seconds=240)).flops / 1e6)
        12
    """
    passes = min(max(seen / max(size.rows, 1), _LEAST_PASSES), _MOST_PASSES)
    seconds = _UNHURRIED_SECONDS if size.seconds is None else size.seconds
    flops = max(size.flops_per_second, size.half_flops_per_second or 0.0)
    train = seconds * efficiency * flops / (_BACKWARD * max(size.rows, 1) * passes)
    predict = _PREDICT_SECONDS * flops / _PREDICT_ROWS
    speed = f"{flops / 1e9:.0f} GFLOP/s"
    if predict <= train:
        return Allowance(predict, f"10,000 rows are to be predicted in {_PREDICT_SECONDS:.0f} s at {speed}")
    time = f"{seconds:.0f} s" + ("" if size.seconds is not None else ", assumed without a budget,")
    return Allowance(train, f"about {passes:.0f} passes over {size.rows:,} rows are to fit into {time} at {speed}")


def batch_rows(size: Size, height: int, width: int) -> int:
    """Examples in a batch: few for few rows, fewer where each is large.

    Example:
        >>> batch_rows(Size(rows=45_000, outputs=10, task="classification"), 32, 32)
        512
    """
    wanted = 32 if size.rows < 500 else 64 if size.rows < 2_000 else 128 if size.rows < 20_000 else 512
    while wanted > 32 and wanted * ceil(height * width / 1024) > 2048:
        wanted //= 2
    return wanted
