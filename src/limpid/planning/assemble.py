"""From a plan to one module: a net for each input, one fusing layer where there are several, the task's head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from limpid.core.contracts import Net, Task
from limpid.core.errors import RequestError
from limpid.core.forms import FIELDS, FieldsShape, Form, GridShape, SeqShape, Shape, assemble
from limpid.core.spec import parse
from limpid.layers.line import Line, LineHead
from limpid.layers.parameters import depths
from limpid.layers.ridge import solve, spread
from limpid.nets import CATALOGUE
from limpid.planning.external import External
from limpid.planning.plan import Component

FEATURES = "features"
"""The part of an input that stands in for its form where a frozen net's features were computed once."""
_FLOPS_AT_ONCE = 4e10  # a few hundred pictures through a small convolutional net


class Fuse(nn.Module):
    """Adds to the main input's features what the others say.

    The sum begins as the main input alone, and in training the others are left out of some examples altogether:
    otherwise the network learns rare words by heart instead of what the table says. Inputs that an equal net with as
    many members reads, such as title and text of the news, say the same kind of thing: theirs is added as it is.

    Args:
        others: widths of the other inputs; None for those that are added as they are.
        width: of the main one.
        dropout: share of examples that train without the other inputs.

    Shapes and units:
        (B,D) or (B,M,D) and (B,E) or (B,1,E) each, to the shape of the first, which is also that of what is added.
    """

    def __init__(self, others: Sequence[int | None], width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.alike = [n for n, each in enumerate(others) if each is None]
        self.linear: nn.Linear | None = None
        if entering := sum(each for each in others if each is not None):
            self.linear = nn.Linear(entering, width)
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, main: Tensor, others: Sequence[Tensor]) -> Tensor:
        """The sum."""
        for n in self.alike:
            main = main + others[n].to(main.dtype)
        if self.linear is None:
            return main
        rest = [v for n, v in enumerate(others) if n not in self.alike]
        joined = torch.cat([v.to(rest[0].dtype) for v in rest], dim=-1)
        if self.training and self.dropout > 0:
            kept = torch.rand(len(joined), device=joined.device) >= self.dropout
            joined = joined * kept.to(joined.dtype).view(-1, *([1] * (joined.dim() - 1)))
        added: Tensor = self.linear(joined)
        return main + added.to(main.dtype)


class Assembled(nn.Module):
    """The whole network.

    Args:
        nets: input name -> net, the main input first.
        forms: input name -> form.
        shapes: input name -> shape.
        task: gives the head.
        dropout: share of examples that train without the further inputs, where there are any.

    Shapes and units:
        A batch maps "INPUT.PART" to tensors of B rows; the output is (B,K), or (B,M,K) where the main net has members.
    """

    def __init__(
        self,
        nets: Mapping[str, Any],
        forms: Mapping[str, str],
        shapes: Mapping[str, Shape],
        task: Task,
        *,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.inputs = list(nets)
        self.forms = dict(forms)
        self.channels_last = False  # a layer follows the layout of what it reads
        self._scaled = {name: n for n, name in enumerate(nets) if isinstance(shapes.get(name), GridShape)}
        for name, n in self._scaled.items():
            shape = cast(GridShape, shapes[name])
            # Known from the shape, so no part of the weights.
            self.register_buffer(f"mean_{n}", torch.tensor(shape.mean).view(-1, 1, 1), persistent=False)
            self.register_buffer(f"std_{n}", torch.tensor(shape.std).view(-1, 1, 1), persistent=False)
        # Column names may hold dots, which module names must not.
        self.nets = nn.ModuleDict({f"input_{n}": net for n, net in enumerate(nets.values())})
        main = nets[self.inputs[0]]
        self.members: int | None = main.members
        width: int = main.width
        self.fuse: Fuse | None = None
        if len(nets) > 1:
            rest = list(nets.values())[1:]
            widths = [None if alike(main, net) else net.width * (net.members or 1) for net in rest]
            self.fuse = Fuse(widths, width, dropout)
        self.head = task.head(width, self.members)
        self.classifies = task.name == "classification"
        first = shapes.get(self.inputs[0])
        if getattr(main, "line", False) and isinstance(first, FieldsShape):
            self.head = LineHead(self.head, Line(first, task.outputs, classes=self.classifies))
        # Parameters whose first values come from a trained model.
        own = ((f"nets.input_{n}.", getattr(net, "pretrained", ())) for n, net in enumerate(nets.values()))
        self.began: set[str] = {prefix + name for prefix, names in own for name in names}

        own = ((f"nets.input_{n}.", getattr(net, "still", ())) for n, net in enumerate(nets.values()))
        # Parameters and buffers that training never changes, so that they are neither averaged nor saved in between.
        self.still: frozenset[str] = frozenset(prefix + name for prefix, names in own for name in names)

    def readable(self, path: str) -> str:
        """A module's path with the name of the input that it reads: "review.lstm" for "nets.input_0.lstm"."""
        for n, name in enumerate(self.inputs):
            if (path + ".").startswith(f"nets.input_{n}."):
                return name + path.removeprefix(f"nets.input_{n}")
        return path

    @property
    def frozen(self) -> list[str]:
        """Inputs whose features never change, so that they can be computed once."""
        each = zip(self.inputs, self.nets.values(), strict=True)
        return [name for name, net in each if getattr(net, "frozen", False)]

    def depths(self) -> list[list[str]]:
        """Names of the parameters that have a past, by depth from the head down; all others learn like the head."""
        found: list[list[str]] = []
        past = {name for name, p in self.named_parameters() if p.requires_grad} & self.began
        for place, net in enumerate(self.nets.values()):
            prefix = f"nets.input_{place}."
            known = [[prefix + name for name in names if prefix + name in past] for names in depths(net)]
            for depth, names in enumerate(names for names in known if names):
                found += [[]] if depth == len(found) else []
                found[depth] += names
        return found

    @property
    def reads_grids(self) -> bool:
        """Whether one of the inputs is a grid."""
        return bool(self._scaled)

    def form(self, name: str, batch: Mapping[str, Tensor]) -> Form:
        """One input's form, taken from a batch; narrow storage types are widened here."""
        prefix = name + "."
        parts = {}
        for key, value in batch.items():
            if key.startswith(prefix) and "." not in key[len(prefix) :]:
                part = key[len(prefix) :]
                parts[part] = value.long() if part in ("categories", "tokens") else value
        if self.forms[name] == FIELDS:
            parts["missing"] = parts["missing"].to(parts["numbers"].dtype)
        if name in self._scaled:
            mean, std = (self.get_buffer(f"{word}_{self._scaled[name]}") for word in ("mean", "std"))
            # Measured on processors: without gradients, channels side by side are faster by a half in any precision.
            last = self.channels_last or not self.training
            layout = torch.channels_last if last else torch.contiguous_format
            parts["pixels"] = ((parts["pixels"].float() - mean) / std).contiguous(memory_format=layout)
        return assemble(self.forms[name], parts)

    def features(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(B,D) or (B,M,D): what the head reads."""
        vectors = []
        for name, net in zip(self.inputs, self.nets.values(), strict=True):
            vector, present = self._vector(name, cast(Any, net), batch)
            if present is not None:
                vector = vector * present.to(vector.dtype).view(-1, *([1] * (vector.dim() - 1)))
            vectors.append(vector)
        if self.fuse is None:
            return vectors[0]
        others = []
        for n, vector in enumerate(vectors[1:]):
            beside = vector if n in self.fuse.alike else vector.flatten(1)
            others.append(beside if self.members is None or beside.dim() == 3 else beside.unsqueeze(1))
        fused: Tensor = self.fuse(vectors[0], others)
        return fused

    def _vector(self, name: str, net: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """What a net gives, from its form or from features of it that were computed before; and who is present."""
        if (ready := batch.get(f"{name}.{FEATURES}")) is not None:
            return net.top(ready), batch.get(f"{name}.present")
        form = self.form(name, batch)
        return net(form), form.present

    @torch.no_grad()
    def bottom(self, name: str, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The features of a frozen net, which stand in for its input: `features` (B,D) float32, and `present`."""
        form = self.form(name, batch)
        net: Any = self.nets[f"input_{self.inputs.index(name)}"]
        parts = {FEATURES: net.bottom(form).float()}
        return parts if form.present is None else {**parts, "present": form.present.to(torch.uint8)}

    def fold(self) -> None:
        """Have nets that hold the same thing in two places, such as adapters, hold it in one."""
        for net in self.nets.values():
            if (fold := getattr(net, "fold", None)) is not None:
                fold()

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(B,K) or (B,M,K) raw outputs."""
        features = self.features(batch)
        if getattr(self.head, "reads_input", False):
            outputs: Tensor = self.head(features, self.form(self.inputs[0], batch))
            return outputs
        outputs = self.head(features)
        return outputs

    @torch.no_grad()
    def prepare(
        self,
        batch: Mapping[str, Tensor],
        target: Tensor,
        weight: Tensor | None = None,
        *,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        """Let each net look once at training examples, before the first step; solve for the head where it is asked for.

        Args:
            batch: training examples.
            target: theirs, as the loss wants it.
            weight: (B,) their weights, or None.
            then: called when all have looked, before a head is solved for.
        """
        for name, net in zip(self.inputs, self.nets.values(), strict=True):
            if (ready := batch.get(f"{name}.{FEATURES}")) is not None:
                cast(Any, net).prepare_top(ready)
            else:
                cast(Net, net).prepare(self.form(name, batch), target)
        if getattr(self.head, "reads_input", False):
            cast(Any, self.head).prepare(self.form(self.inputs[0], batch), target, weight)
        then()
        if isinstance(self.head, LineHead):
            self.head.weigh(1.0)  # what it starts from was weighed on other rows
        self._solve(batch, target, weight)

    def _solve(self, batch: Mapping[str, Tensor], target: Tensor, weight: Tensor | None) -> None:
        """Find the head in closed form, where the main net asks for it."""
        most = getattr(self.nets["input_0"], "solved_rows", 0)
        if not most or self.fuse is not None or len(target) < 2 or not isinstance(self.head, nn.Linear):
            return
        index = spread(len(target), most)
        training = self.training
        self.eval()
        features = self.features({name: part[index] for name, part in batch.items()})
        self.train(training)
        found = solve(
            features,
            target[index],
            self.head.weight.shape[0],
            classes=self.classifies,
            weight=None if weight is None else weight[index],
        )
        self.head.weight.copy_(found.weight)
        self.head.bias.copy_(found.bias)

    def flops(self) -> float:
        """Multiplications and additions of one example's forward pass, the fusing layer and head included."""
        total = sum(cast(Net, net).flops() for net in self.nets.values())
        extra = sum(p.numel() for p in self.head.parameters())
        if self.fuse is not None:
            extra += sum(p.numel() for p in self.fuse.parameters())
        return float(total + 2 * extra)


def alike(main: Any, other: Any) -> bool:
    """Whether two nets give members that mean the same, so that they can be added one by one."""
    same = type(main) is type(other) and main.members == other.members and main.width == other.width
    return bool(same and getattr(main, "adds_up", False))


def rows_at_once(network: nn.Module, most: int) -> int:
    """Rows of one forward pass without gradients: fewer for networks whose activations are large."""
    flops = network.flops() if isinstance(network, Assembled) else 0.0
    return max(1, min(most, int(_FLOPS_AT_ONCE / max(flops, 1.0))))


def build(
    net: Component,
    nets: Mapping[str, Component],
    shapes: Mapping[str, Shape],
    forms: Mapping[str, str],
    task: Task,
    *,
    seed: int,
    module: Any = None,
) -> Assembled:
    """Build the network of a plan with weights that follow from `seed` alone.

    Args:
        net: the main input's net.
        nets: nets of the other inputs, by input name.
        shapes, forms: of each input, the main one first.
        task: gives the head.
        seed: of the initial weights.
        module: the user's own module or a callable that makes one from its input width, where `net.name` is
            "external".

    Raises:
        RequestError: a net takes another form than its input has.
    """
    built: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for n, (name, shape) in enumerate(shapes.items()):
            chosen = net if n == 0 else nets[name]
            path = "net" if n == 0 else f"nets.{name}"
            if chosen.name == "external":
                built[name] = External(module, shape)
                continue
            kind = CATALOGUE.load(chosen.name, where=path)
            check_takes(chosen.name, kind, name, shape, where=path)
            built[name] = kind(parse(kind.Spec, chosen.settings, where=path), shape)
        return Assembled(built, forms, shapes, task, dropout=getattr(task, "further_dropout", 0.5))


def check_takes(name: str, kind: Any, column: str, shape: Shape, *, where: str) -> None:
    """Refuse a net that cannot read its input, naming those that can.

    Raises:
        RequestError: the forms differ, or the net reads only another content of it (tokens, values).
    """
    form, content = shape.form, content_of(shape)
    if _reads(kind, shape):
        return
    fits = [e.name for e in CATALOGUE if _reads(CATALOGUE.load(e.name, where=where), shape)]
    subject = "the table's columns emit" if column == FIELDS else f"column {column!r} emits a"
    wanted, given = _article(kind.takes), form
    if kind.takes == form:
        wanted, given = f"{wanted} of {' or '.join(sorted(kind.reads))}", f"{form} of {content}"
    raise RequestError(
        f"net {name!r} takes {wanted}; {subject} {given}",
        where=where,
        expected=f"nets that take {_article(given)}: {', '.join(fits)}",
        fix=f"choose one of them with --{'net ' if where == 'net' else f'set {where}='}{fits[0] if fits else 'NAME'}",
    )


def content_of(shape: Shape) -> str:
    """What a seq holds, "tokens" or "values"; the form's own name for others."""
    if isinstance(shape, SeqShape):
        return "values" if shape.vocabulary is None else "tokens"
    return shape.form


def _reads(kind: Any, shape: Shape) -> bool:
    fits = shape.form in kind.takes.split(" or ")
    return bool(fits and content_of(shape) in getattr(kind, "reads", {content_of(shape)}))


def _article(form: str) -> str:
    return form if form == FIELDS else f"a {form}"


def describe(model: Assembled, batch: Mapping[str, Tensor], details: Mapping[str, str]) -> dict[str, Any]:
    """The network as a drawing needs it: inputs, and each layer with its kind, output shape and parameters.

    Args:
        model: the network.
        batch: a few examples to send through.
        details: input name -> a line on what it is made of.
    """
    layers: list[dict[str, Any]] = []
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        def seen(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                layers.append(
                    {
                        "name": name,
                        "kind": type(module).__name__,
                        "shape": ["B", *output.shape[1:]],
                        "parameters": sum(p.numel() for p in module.parameters()),
                    }
                )

        handles.append(module.register_forward_hook(seen))

    for path, module in model.named_modules():
        leaf = not any(True for _ in module.children())
        own = any(True for _ in module.parameters(recurse=False))
        if path and (leaf or own):
            watch(model.readable(path), module)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(batch)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return {
        "inputs": [{"name": name, "form": model.forms[name], "detail": details.get(name, "")} for name in model.inputs],
        "layers": layers,
        "parameters": sum(p.numel() for p in model.parameters()),
        "members": model.members,
    }
