"""Recurrent layers (Elman, LSTM, GRU) in both directions, whose gradients are written out by hand.

Legend: T steps, B examples, N positions that are no padding, n rows that go on at a step, D inputs, H hidden units,
R directions (1 or 2), G gates (1, 4 or 3).

torch records every small operation of every step and adds up the weights' gradient step by step. Here a pass is one
operation for it: padding is left out, all inputs are projected in one product, both directions take a step together,
what a step needs stays in the processor's cache, and the gradients of all weights are one product after the last step.
The sums are those of `torch.nn.RNN`, `LSTM` and `GRU` on packed sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from limpid.layers.packing import Packing

Cell = Literal["rnn", "lstm", "gru"]
GATES: dict[Cell, int] = {"rnn": 1, "lstm": 4, "gru": 3}


class Recurrent(nn.Module):
    """One recurrent layer over sequences of unequal length.

    Elman (1990); LSTM: Hochreiter and Schmidhuber (1997), with the forget gate's bias at 1 (Jozefowicz et al. 2015);
    GRU: Cho et al. 2014 (arXiv 1406.1078), in the form of torch, with the reset gate behind the product; both
    directions: Schuster and Paliwal (1997). Recurrent weights start orthogonal (Saxe et al. 2014, arXiv 1312.6120).

    Args:
        cell: "rnn" (tanh), "lstm" or "gru".
        inputs: D.
        width: H.
        bidirectional: whether a second set of weights reads backwards.

    Shapes and units:
        (B,T,D) to (B,T,R*H), zero where there is padding. Gates stand in the order r, z, n for gru and i, f, o, g for
        lstm.

    Example:
        >>> from limpid.layers.packing import pack
        >>> layer = Recurrent("gru", 3, 4)
        >>> layer(torch.zeros(2, 5, 3), pack(torch.ones(2, 5, dtype=torch.bool))).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, cell: Cell, inputs: int, width: int, *, bidirectional: bool = True) -> None:
        super().__init__()
        self.cell: Cell = cell
        self.width = width
        self.directions = 2 if bidirectional else 1
        gates = GATES[cell]
        self.weight = nn.Parameter(torch.empty(self.directions, inputs, gates * width))
        self.recurrent_weight = nn.Parameter(torch.empty(self.directions, width, gates * width))
        self.bias = nn.Parameter(torch.zeros(self.directions, 1, gates * width))
        # The only bias that does not fall together with that of the inputs: it stands behind the reset gate.
        self.new_bias = nn.Parameter(torch.zeros(self.directions, 1, width)) if cell == "gru" else None
        with torch.no_grad():
            for inward, inner in zip(self.weight, self.recurrent_weight, strict=True):
                for gate in range(gates):
                    part = slice(gate * width, (gate + 1) * width)
                    nn.init.xavier_uniform_(inward[:, part])
                    nn.init.orthogonal_(inner[:, part])
            if cell == "lstm":
                self.bias[..., width : 2 * width] = 1.0

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """(B,T,R*H)."""
        if not packing.sizes:
            return x.new_zeros(packing.rows, packing.steps, self.directions * self.width)
        packed = packing.take(x, self.directions)
        drive = torch.baddbmm(self.bias, packed.to(self.bias.dtype), self.weight).to(self.bias.dtype)
        keep = torch.is_grad_enabled()
        with torch.autocast(x.device.type, enabled=False):
            weights = (self.recurrent_weight,) if self.new_bias is None else (self.recurrent_weight, self.new_bias)
            states: Tensor = _SCANS[self.cell].apply(packing.sizes, keep, drive, *weights)
        return packing.put(states)

    def flops(self, length: int) -> float:
        """Of one example of T steps."""
        return 2.0 * length * (self.weight.numel() + self.recurrent_weight.numel())


class _Scan(torch.autograd.Function):
    """The steps of a recurrence over packed sequences, in which all cells agree.

    A cell says what one step does, forwards and backwards, and writes into the memory that it is given.
    """

    @staticmethod
    def run(ctx: Any, step: Any, sizes: list[int], keep: bool, drive: Tensor, weight: Tensor, cells: int) -> Tensor:
        """(R,N,H) states.

        Args:
            step: (drive (R,n,G*H), carried states (R,n,H) each, place of the new state) -> further states carried on,
                and what the backward step needs.
            sizes: n of each step.
            keep: whether there will be a backward pass.
            drive: (R,N,G*H).
            weight: (R,H,G*H).
            cells: tensors of state, the first of which is given out.
        """
        directions, total, _ = drive.shape
        width = weight.shape[1]
        states = drive.new_empty(directions, total, width)
        before = drive.new_empty(directions, total, width) if keep else states[:, :0]
        carried = [drive.new_zeros(directions, sizes[0], width) for _ in range(cells)]
        kept, start = [], 0
        for size in sizes:
            stop = start + size
            if size < carried[0].shape[1]:
                carried = [c[:, :size] for c in carried]
            if keep:
                before[:, start:stop] = carried[0]
            place = states[:, start:stop]
            further, needed = step(drive[:, start:stop], carried, place)
            carried = [place, *further]
            if keep:
                kept.append(needed)
            start = stop
        ctx.sizes, ctx.kept, ctx.before, ctx.weight = sizes, kept, before, weight
        return states

    @staticmethod
    def back(ctx: Any, step: Any, outer: Tensor, inner: Sequence[Tensor], cells: int) -> None:
        """Fill `inner` with the gradients of what the gates read.

        Args:
            step: (inner of the step, what was kept, gradients of the new states) -> gradients of the old ones.
            outer: (R,N,H) gradients of what was given out.
            inner: (R,N,...) each.
            cells: tensors of state.
        """
        stop, arriving = outer.shape[1], None
        for size, needed in zip(reversed(ctx.sizes), reversed(ctx.kept), strict=True):
            start = stop - size
            towards = [outer[:, start:stop]]
            towards += [torch.zeros_like(towards[0]) for _ in range(cells - 1)]
            if arriving is not None and arriving[0].shape[1] == size:
                towards = [arriving[0].add_(towards[0]), *arriving[1:]]
            elif arriving is not None:
                towards[0] = towards[0].clone()
                for mine, later in zip(towards, arriving, strict=True):
                    mine[:, : later.shape[1]] += later
            arriving = step([part[:, start:stop] for part in inner], needed, towards)
            stop = start


class _Rnn(_Scan):
    """h = tanh(drive + h U)."""

    @staticmethod
    def forward(ctx: Any, sizes: list[int], keep: bool, drive: Tensor, weight: Tensor) -> Tensor:
        """(R,N,H) states."""

        def step(drive: Tensor, carried: list[Tensor], place: Tensor) -> Any:
            torch.tanh(torch.baddbmm(drive, carried[0], weight), out=place)
            return (), place

        return _Scan.run(ctx, step, sizes, keep, drive, weight, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """Of the drive and the weight."""
        back = ctx.weight.transpose(1, 2)
        inner = torch.empty_like(ctx.before)

        def step(inner: list[Tensor], state: Tensor, towards: list[Tensor]) -> list[Tensor]:
            _tanh_backward(towards[0], state, grad_input=inner[0])
            return [torch.bmm(inner[0], back)]

        _Scan.back(ctx, step, gradients[0], (inner,), 1)
        return None, None, inner, torch.bmm(ctx.before.transpose(1, 2), inner)


class _Lstm(_Scan):
    """i, f, o, g = drive + h U;  c = σ(f) c + σ(i) tanh(g);  h = σ(o) tanh(c)."""

    @staticmethod
    def forward(ctx: Any, sizes: list[int], keep: bool, drive: Tensor, weight: Tensor) -> Tensor:
        """(R,N,H) states."""
        width = weight.shape[1]

        def step(drive: Tensor, carried: list[Tensor], place: Tensor) -> Any:
            state, cell = carried
            a = torch.baddbmm(drive, state, weight)
            gates, new = a[..., : 3 * width].sigmoid_(), a[..., 3 * width :].tanh_()
            i, f, o = gates.chunk(3, dim=-1)
            after = torch.mul(i, new).addcmul_(f, cell)
            top = torch.tanh(after)
            torch.mul(o, top, out=place)
            return (after,), (gates, new, cell, top)

        return _Scan.run(ctx, step, sizes, keep, drive, weight, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """Of the drive and the weight."""
        width = ctx.weight.shape[1]
        back = ctx.weight.transpose(1, 2)
        inner = ctx.before.new_empty(*ctx.before.shape[:2], 4 * width)

        def step(inner: list[Tensor], needed: tuple[Tensor, ...], towards: list[Tensor]) -> list[Tensor]:
            gates, new, before, top = needed
            i, f, o = gates.chunk(3, dim=-1)
            state, cell = towards
            cell += _tanh_backward(state * o, top)
            (whole,) = inner
            of_gates = whole[..., : 3 * width]
            for n, (left, right) in enumerate(((cell, new), (cell, before), (state, top))):
                torch.mul(left, right, out=of_gates[..., n * width : (n + 1) * width])
            _sigmoid_backward(of_gates, gates, grad_input=of_gates)
            _tanh_backward(cell * i, new, grad_input=whole[..., 3 * width :])
            return [torch.bmm(whole, back), cell.mul_(f)]

        _Scan.back(ctx, step, gradients[0], (inner,), 2)
        return None, None, inner, torch.bmm(ctx.before.transpose(1, 2), inner)


class _Gru(_Scan):
    """r, z = σ(drive + h U);  n = tanh(drive + r (h U + b));  h = (1 - z) n + z h."""

    @staticmethod
    def forward(ctx: Any, sizes: list[int], keep: bool, drive: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(R,N,H) states."""
        width = weight.shape[1]
        gate_weight, new_weight = weight[..., : 2 * width], weight[..., 2 * width :]

        def step(drive: Tensor, carried: list[Tensor], place: Tensor) -> Any:
            (state,) = carried
            gates = torch.baddbmm(drive[..., : 2 * width], state, gate_weight).sigmoid_()
            inside = torch.baddbmm(bias, state, new_weight)
            new = torch.addcmul(drive[..., 2 * width :], gates[..., :width], inside).tanh_()
            torch.lerp(new, state, gates[..., width:], out=place)
            return (), (gates, inside, new, state)

        return _Scan.run(ctx, step, sizes, keep, drive, weight, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """Of the drive, the weight and the bias."""
        width = ctx.weight.shape[1]
        gate_back = ctx.weight[..., : 2 * width].transpose(1, 2)
        new_back = ctx.weight[..., 2 * width :].transpose(1, 2)
        drive = ctx.before.new_empty(*ctx.before.shape[:2], 3 * width)
        inside_all = torch.empty_like(ctx.before)

        def step(inner: list[Tensor], needed: tuple[Tensor, ...], towards: list[Tensor]) -> list[Tensor]:
            gates, inside, new, before = needed
            whole, of_inside = inner
            (state,) = towards
            stays = state * gates[..., width:]
            of_new, of_gates = whole[..., 2 * width :], whole[..., : 2 * width]
            _tanh_backward(state - stays, new, grad_input=of_new)
            torch.mul(of_new, inside, out=of_gates[..., :width])
            torch.mul(state, before - new, out=of_gates[..., width:])
            _sigmoid_backward(of_gates, gates, grad_input=of_gates)
            torch.mul(of_new, gates[..., :width], out=of_inside)
            return [stays.baddbmm_(of_gates, gate_back).baddbmm_(of_inside, new_back)]

        _Scan.back(ctx, step, gradients[0], (drive, inside_all), 1)
        before = ctx.before.transpose(1, 2)
        weight = torch.cat([torch.bmm(before, drive[..., : 2 * width]), torch.bmm(before, inside_all)], dim=-1)
        return None, None, drive, weight, inside_all.sum(dim=1, keepdim=True)


_SCANS: dict[Cell, Any] = {"rnn": _Rnn, "lstm": _Lstm, "gru": _Gru}


def _tanh_backward(gradient: Tensor, output: Tensor, grad_input: Tensor | None = None) -> Tensor:
    operation = torch.ops.aten.tanh_backward
    if grad_input is None:
        return operation(gradient, output)  # type: ignore[no-any-return]
    return operation.grad_input(gradient, output, grad_input=grad_input)  # type: ignore[no-any-return]


def _sigmoid_backward(gradient: Tensor, output: Tensor, grad_input: Tensor) -> Tensor:
    return torch.ops.aten.sigmoid_backward.grad_input(gradient, output, grad_input=grad_input)  # type: ignore[no-any-return]
