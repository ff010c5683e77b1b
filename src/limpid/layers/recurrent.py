"""Recurrent layers (Elman, LSTM, GRU) in both directions, whose gradients are written out by hand.

Legend: T steps, B examples, D inputs, H hidden units, R directions (1 or 2), G gates (1, 4 or 3).

torch records every small operation of every step and adds up the weights' gradient step by step. Here a pass is one
operation for it: all inputs are projected in one product, both directions take a step together, and the gradients of
all weights are one product after the last step. The sums are those of `torch.nn.RNN`, `LSTM` and `GRU`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Cell = Literal["rnn", "lstm", "gru"]
GATES: dict[Cell, int] = {"rnn": 1, "lstm": 4, "gru": 3}

_SHUT = 1e4  # the sigmoid of it is 1 to the last bit, of its negative 0


class Recurrent(nn.Module):
    """One recurrent layer over padded sequences; padding at the end changes no answer.

    Elman (1990); LSTM: Hochreiter and Schmidhuber (1997), with the forget gate's bias at 1 (Jozefowicz et al. 2015);
    GRU: Cho et al. 2014 (arXiv 1406.1078), in the form of torch, with the reset gate behind the product; both
    directions: Schuster and Paliwal (1997). Recurrent weights start orthogonal (Saxe et al. 2014, arXiv 1312.6120).

    Args:
        cell: "rnn" (tanh), "lstm" or "gru".
        inputs: D.
        width: H.
        bidirectional: whether a second set of weights reads backwards.

    Shapes and units:
        (B,T,D) and mask (B,T), true for a prefix of each row, to (B,T,R*H). Behind the end of a row, what it gives has
        no meaning. Gates stand in torch's order: r, z, n for gru, i, f, g, o for lstm.

    Example:
        >>> layer = Recurrent("gru", 3, 4)
        >>> layer(torch.zeros(2, 5, 3), torch.ones(2, 5, dtype=torch.bool)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, cell: Cell, inputs: int, width: int, *, bidirectional: bool = True) -> None:
        super().__init__()
        self.cell: Cell = cell
        self.width = width
        self.directions = 2 if bidirectional else 1
        gates = GATES[cell]
        self.input = nn.Linear(inputs, self.directions * gates * width)
        self.recurrent_weight = nn.Parameter(torch.empty(self.directions, width, gates * width))
        with torch.no_grad():
            nn.init.xavier_uniform_(self.input.weight, gain=((gates + 1) / 2) ** 0.5)
            self.input.bias.zero_()
            for direction in self.recurrent_weight:
                for gate in direction.chunk(gates, dim=1):
                    nn.init.orthogonal_(gate)
            if cell == "lstm":
                self.input.bias.view(self.directions, gates, width)[:, 1] = 1.0
        # The only bias that does not fall together with that of the inputs: it stands behind the reset gate.
        self.new_bias = nn.Parameter(torch.zeros(self.directions, 1, width)) if cell == "gru" else None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B,T,R*H)."""
        rows, steps, _ = x.shape
        gates = GATES[self.cell]
        projected = self.input(x).to(self.recurrent_weight.dtype)
        projected = projected.view(rows, steps, self.directions, gates * self.width)
        drive = projected.permute(1, 2, 0, 3)  # (T,R,B,G*H)
        open_ = mask.t().view(steps, 1, rows, 1)
        if self.directions == 2:
            # The second direction reads from the last column on, padding first, where it must not move.
            drive = torch.stack([drive[:, 0], drive[:, 1].flip(0)], dim=1)
            open_ = torch.stack([open_[:, 0], open_[:, 0].flip(0)], dim=1)
        else:
            drive = drive.contiguous()
        with torch.autocast(x.device.type, enabled=False):
            if self.cell == "gru":
                assert self.new_bias is not None
                states = _Gru.apply(_hold_gru(drive, open_), self.recurrent_weight, self.new_bias)
            elif self.cell == "lstm":
                states = _Lstm.apply(_hold_lstm(drive, open_), self.recurrent_weight)
            else:
                states = _Rnn.apply(drive, self.recurrent_weight, open_.to(drive.dtype))
        forwards = states[:, 0]
        if self.directions == 1:
            return forwards.transpose(0, 1)
        return torch.cat([forwards, states[:, 1].flip(0)], dim=-1).transpose(0, 1)

    def flops(self, length: int) -> float:
        """Of one example of T steps."""
        return 2.0 * length * (self.input.weight.numel() + self.recurrent_weight.numel())


def _hold_gru(drive: Tensor, open_: Tensor) -> Tensor:
    """Shut the update gate where there is padding: the state stays as it is, to the last bit."""
    width = drive.shape[-1] // 3
    shut = F.pad((~open_).to(drive.dtype).expand(-1, -1, -1, width) * _SHUT, (width, width))
    return drive + shut


def _hold_lstm(drive: Tensor, open_: Tensor) -> Tensor:
    """Shut the input gate and open the forget gate where there is padding: the cell stays as it is."""
    width = drive.shape[-1] // 4
    shut = (~open_).to(drive.dtype).expand(-1, -1, -1, width) * _SHUT
    return drive + F.pad(torch.cat([-shut, shut], dim=-1), (0, 2 * width))


class _Rnn(torch.autograd.Function):
    """h = tanh(drive + h U), and zero where there is padding."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, weight: Tensor, open_: Tensor) -> Tensor:
        """(T,R,B,H) states."""
        states = torch.empty_like(drive)
        state = drive.new_zeros(drive.shape[1:])
        for t in range(len(drive)):
            state = torch.baddbmm(drive[t], state, weight).tanh_().mul_(open_[t])
            states[t] = state
        ctx.save_for_backward(weight, open_, states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of the drive and the weight."""
        weight, open_, states = ctx.saved_tensors
        (outer,) = gradients
        slope = (1 - states.square()) * open_
        inner = torch.empty_like(states)
        back = weight.transpose(1, 2)
        towards = outer[-1]
        for t in range(len(states) - 1, -1, -1):
            torch.mul(towards, slope[t], out=inner[t])
            if t:
                towards = torch.baddbmm(outer[t - 1], inner[t], back)
        return inner, _weight_gradient(states, inner), None


class _Lstm(torch.autograd.Function):
    """i, f, g, o = drive + h U;  c = σ(f) c + σ(i) tanh(g);  h = σ(o) tanh(c)."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, weight: Tensor) -> Tensor:
        """(T,R,B,H) states."""
        width = drive.shape[-1] // 4
        gates = torch.empty_like(drive)
        shape = (*drive.shape[:-1], width)
        cells, states = drive.new_empty(shape), drive.new_empty(shape)
        state = cell = drive.new_zeros(shape[1:])
        for t in range(len(drive)):
            a = torch.baddbmm(drive[t], state, weight)
            torch.sigmoid(a[..., : 2 * width], out=gates[t, ..., : 2 * width])
            torch.tanh(a[..., 2 * width : 3 * width], out=gates[t, ..., 2 * width : 3 * width])
            torch.sigmoid(a[..., 3 * width :], out=gates[t, ..., 3 * width :])
            i, f, g, o = gates[t].chunk(4, dim=-1)
            cell = torch.mul(f, cell, out=cells[t]).addcmul_(i, g)
            state = torch.tanh(cell, out=states[t]).mul_(o)
        ctx.save_for_backward(weight, gates, cells, states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of the drive and the weight."""
        weight, gates, cells, states = ctx.saved_tensors
        (outer,) = gradients
        width = states.shape[-1]
        i, f, g, o = gates.chunk(4, dim=-1)
        top = torch.tanh(cells)
        before = torch.cat([torch.zeros_like(cells[:1]), cells[:-1]])
        # What does not depend on later steps, for all steps at once: what is left for the loop is three products.
        to_cell = o * (1 - top * top)
        of_cell = torch.stack([g * i * (1 - i), before * f * (1 - f), i * (1 - g * g)], dim=-2)  # (T,R,B,3,H)
        of_state = top * o * (1 - o)
        inner = torch.empty_like(gates)
        split = inner.unflatten(-1, (4, width))
        back = weight.transpose(1, 2)
        towards, cell = outer[-1], torch.zeros_like(outer[-1])
        for t in range(len(states) - 1, -1, -1):
            cell = torch.addcmul(cell, towards, to_cell[t])
            torch.mul(cell.unsqueeze(-2), of_cell[t], out=split[t, ..., :3, :])
            torch.mul(towards, of_state[t], out=split[t, ..., 3, :])
            cell = cell * f[t]
            if t:
                towards = torch.baddbmm(outer[t - 1], inner[t], back)
        return inner, _weight_gradient(states, inner)


class _Gru(torch.autograd.Function):
    """r, z = σ(drive + h U);  n = tanh(drive + r (h U + b));  h = (1 - z) n + z h."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(T,R,B,H) states."""
        width = drive.shape[-1] // 3
        gates = torch.empty_like(drive)
        shape = (*drive.shape[:-1], width)
        inside, states = drive.new_empty(shape), drive.new_empty(shape)
        state = drive.new_zeros(shape[1:])
        offset = F.pad(bias, (2 * width, 0))
        for t in range(len(drive)):
            a = torch.baddbmm(offset, state, weight)
            both = torch.add(a[..., : 2 * width], drive[t, ..., : 2 * width], out=gates[t, ..., : 2 * width]).sigmoid_()
            new, reset = a[..., 2 * width :], both[..., :width]
            inside[t] = new
            new = torch.addcmul(drive[t, ..., 2 * width :], reset, new, out=gates[t, ..., 2 * width :]).tanh_()
            update = both[..., width:]
            # Not a lerp: with an update gate of 1 the state must come through unrounded.
            state = torch.mul(update, state, out=states[t]).addcmul_(1 - update, new)
        ctx.save_for_backward(weight, gates, inside, states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of the drive, the weight and the bias."""
        weight, gates, inside, states = ctx.saved_tensors
        (outer,) = gradients
        width = states.shape[-1]
        r, z, n = gates.chunk(3, dim=-1)
        before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
        of_new = (1 - z) * (1 - n * n)
        factors = torch.stack([of_new * inside * r * (1 - r), (before - n) * z * (1 - z), of_new * r], dim=-2)
        inner = torch.empty_like(gates)  # gradients of h U + b
        split = inner.unflatten(-1, (3, width))
        back = weight.transpose(1, 2)
        arriving = torch.empty_like(states)
        arriving[-1] = outer[-1]
        for t in range(len(states) - 1, -1, -1):
            torch.mul(arriving[t].unsqueeze(-2), factors[t], out=split[t])
            if t:
                kept = torch.addcmul(outer[t - 1], arriving[t], z[t])
                torch.baddbmm(kept, inner[t], back, out=arriving[t - 1])
        drive = torch.cat([inner[..., : 2 * width], arriving * of_new], dim=-1)
        offset = inner[..., 2 * width :].sum(dim=(0, 2)).unsqueeze(1)
        return drive, _weight_gradient(states, inner), offset


def _weight_gradient(states: Tensor, inner: Tensor) -> Tensor:
    """(R,H,G*H): the products of each step's state with the next step's gradient, summed in one go."""
    if len(states) < 2:
        return states.new_zeros(states.shape[1], states.shape[-1], inner.shape[-1])
    left = states[:-1].transpose(0, 1).flatten(1, 2)  # (R,(T-1)*B,H)
    right = inner[1:].transpose(0, 1).flatten(1, 2)
    return torch.bmm(left.transpose(1, 2), right)
