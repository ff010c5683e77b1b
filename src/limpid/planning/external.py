"""A user's own `torch.nn.Module` in the place of a net."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.errors import RequestError
from limpid.core.forms import Fields, FieldsShape, Form, Grid, GridShape, Seq, SeqShape, Shape
from limpid.core.spec import Spec


class External(nn.Module):
    """Feeds a table's columns to a module that knows nothing of forms, as one dense row.

    The row holds the scaled numbers, a 0/1 flag for each number that can be missing, and each category as a one-hot
    vector; a seq is handed over as (B,T) token ids or (B,T,D) values, a grid as (B,C,H,W) normalised pixels. A module
    with an attribute `takes` gets the form itself.

    Args:
        module: the module, or a callable that makes it from the width D of the dense row (or the vocabulary size or
            width of a seq, or the channels of a grid).
        shape: shape of the input.

    Raises:
        RequestError: it is neither, or its output is not one vector for each example.
    """

    takes: ClassVar[str] = "any"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})
    Spec: ClassVar[type[Spec]] = Spec

    def __init__(self, module: Any, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.members: int | None = None
        if isinstance(module, nn.Module):
            self.inner = module
        elif callable(module):
            made = module(dense_width(shape))
            if not isinstance(made, nn.Module):
                raise _unfit(f"the callable made a {type(made).__name__}, not a module")
            self.inner = made
        else:
            raise _unfit(
                "this model was trained with a module of the user's own, which a bundle does not hold"
                if module is None
                else f"a {type(module).__name__} is no module"
            )
        self.width = self._measure()

    def _measure(self) -> int:
        training = self.inner.training
        self.inner.eval()
        try:
            with torch.no_grad():
                output = self.inner(self._input(blank(self.shape, rows=2)))
        except (RuntimeError, TypeError, ValueError) as error:
            raise _unfit(
                f"it does not accept its input of width {dense_width(self.shape)}: {str(error).splitlines()[0]}"
            ) from error
        finally:
            self.inner.train(training)
        if not isinstance(output, Tensor) or output.dim() != 2 or output.shape[0] != 2:
            raise _unfit("it does not give one vector for each example")
        return int(output.shape[1])

    def _input(self, form: Form) -> Any:
        if hasattr(self.inner, "takes"):
            return form
        if isinstance(form, Fields):
            assert isinstance(self.shape, FieldsShape)
            return dense(form, self.shape)
        if isinstance(form, Grid):
            return form.pixels
        return form.tokens if form.tokens is not None else form.values

    def forward(self, form: Form) -> Tensor:
        """(B,D) of the user's module."""
        output: Tensor = self.inner(self._input(form))
        return output

    def prepare(self, form: Form, target: Tensor) -> None:
        """Let the module look at training examples, where it has a `prepare` of its own."""
        own = getattr(self.inner, "prepare", None)
        if callable(own):
            own(form, target)

    def flops(self) -> float:
        """Two for each parameter, as if every layer were dense."""
        return 2.0 * sum(p.numel() for p in self.inner.parameters())


def dense_width(shape: Shape) -> int:
    """Width of the dense row, the vocabulary size or width of a seq, or the channels of a grid."""
    if isinstance(shape, GridShape):
        return shape.channels
    if isinstance(shape, FieldsShape):
        return len(shape.numbers) + sum(shape.can_miss) + sum(shape.cardinalities)
    assert isinstance(shape, SeqShape)
    return shape.vocabulary or shape.width or 0


def dense(form: Fields, shape: FieldsShape) -> Tensor:
    """(B,D) numbers, flags of those that can be missing, one-hot categories."""
    flags = form.missing[:, torch.tensor(shape.can_miss, dtype=torch.bool, device=form.missing.device)]
    hot = [
        F.one_hot(form.categories[:, n], cardinality).to(form.numbers.dtype)
        for n, cardinality in enumerate(shape.cardinalities)
    ]
    return torch.cat([form.numbers, flags, *hot], dim=1)


def blank(shape: Shape, rows: int) -> Form:
    """Examples of zeros, to measure a module with."""
    if isinstance(shape, GridShape):
        return Grid(torch.zeros(rows, shape.channels, shape.height, shape.width))
    if isinstance(shape, FieldsShape):
        numbers = torch.zeros(rows, len(shape.numbers))
        return Fields(numbers, torch.zeros_like(numbers), torch.zeros(rows, len(shape.categories), dtype=torch.long))
    if shape.vocabulary is None:
        values = torch.zeros(rows, shape.length, shape.width or 1)
        return Seq(mask=torch.ones(rows, shape.length, dtype=torch.bool), values=values)
    tokens = torch.ones(rows, shape.length, dtype=torch.long)
    return Seq(mask=tokens != 0, tokens=tokens)


def _unfit(what: str) -> RequestError:
    return RequestError(
        what,
        where="net",
        expected="a torch.nn.Module from (B,D) rows to (B,W) vectors, or a callable that makes one from D",
        fix="in Python: limpid.load(path, net=module), or limpid.train(..., net=lambda width: module); the command "
        "line cannot supply a module",
    )
