"""Columns that hold words: a sequence of tokens, which are hashed words and pieces, words, characters or byte pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from limpid.core.contracts import Reasons, Size
from limpid.core.errors import RequestError
from limpid.core.forms import SeqShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, ColumnSpec, Recognition
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.augment_tokens import TokenAugmentSpec
from limpid.data.cleaning import canonical, clean, plain
from limpid.data.given_tokens import GivenTokens
from limpid.data.hashed import first_piece
from limpid.data.stored import Stored, decided
from limpid.data.text_shown import show_texts
from limpid.data.text_units import Characters, Hashed, KnownWords, Pairs, Unit

UnitName = Literal["hashed", "words", "characters", "bpe", "backbone"]

_ROWS = 8_192  # texts encoded at once, which bounds the memory
_PIECED = frozenset({"bag", "ngrams"})  # nets that read pieces behind the words
_LONGEST = {"hashed": 512, "words": 256, "characters": 1_024, "bpe": 384, "backbone": 512}
_PIECES_A_WORD = 1.4  # of byte pairs, in text like that of training
_TOKEN_OPERATIONS = 1e6  # of one token in a net of medium size, forwards and backwards
_PASSES = 8

_LEARNT: dict[str, type[KnownWords] | type[Characters] | type[Pairs]] = {
    "words": KnownWords,
    "characters": Characters,
    "bpe": Pairs,
}


class TextSpec(Spec):
    """How text becomes tokens."""

    unit: Auto | UnitName = Field(
        AUTO,
        description="what a token is: hashed (words, and behind them their pieces, by their hash), words (of a "
        "vocabulary of training rows), characters, bpe (pieces of words that are learnt by byte-pair encoding), or "
        "backbone (the tokens of the pretrained model that reads the column)",
    )
    buckets: Auto | Annotated[int, Field(ge=16, le=2**22)] = Field(
        AUTO,
        description="number of token ids, padding included: exactly so many of hashed tokens, which share an id by "
        "chance where there are few, and at most so many of a vocabulary",
    )
    max_tokens: Auto | Annotated[int, Field(ge=1, le=8_192)] = Field(
        AUTO, description="most tokens of one text; what is behind them is not read"
    )
    min_count: Auto | Annotated[int, Field(ge=1)] = Field(
        AUTO,
        description="occurrences in training rows that an entry of a vocabulary needs; rarer ones share the id of the "
        "unknown; hashed tokens have no vocabulary",
    )
    pieces: Auto | bool = Field(
        AUTO, description="whether pieces of 3 to 5 characters of each word are tokens too, where words are hashed"
    )
    augment: TokenAugmentSpec = Field(
        default_factory=TokenAugmentSpec, description="how tokens of training rows are changed, each pass anew"
    )

    @model_validator(mode="after")
    def _has_unknown(self) -> TextSpec:
        if self.unit == "hashed" and self.augment.how == "unknown":
            raise ValueError("hashed words have no token for the unknown; remove them, or choose another unit")
        return self


class Text:
    """Token ids from 1 on, 0 is padding; a text's tokens in reading order, pieces of hashed words behind all of them.

    Text is normalised (Unicode NFKC, case folded). Signs such as "!" are words, and so is each character of scripts
    without blanks between words.
    """

    Spec: ClassVar[type[Spec]] = TextSpec
    form: ClassVar[str | None] = "seq"
    augmenter: ClassVar[str] = "limpid.layers.augment_tokens:TokenAugment"

    def __init__(self, name: str, unit: Unit, max_tokens: int, augment: TokenAugmentSpec) -> None:
        self.name = name
        self.unit = unit
        self.max_tokens = max_tokens
        self.augment = augment

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim text that is neither one of few values nor a name of the row; weakly, any text."""
        if facts.dtype != "text" or facts.present == 0:
            return None
        if facts.number_share >= 0.95 or facts.date_share >= 0.95:
            return Recognition(0.1, "it could be read as words")
        because = (
            f"{facts.distinct:,} different texts in {facts.present:,} cells, {facts.mean_words:.1f} words and "
            f"{facts.mean_characters:.0f} characters on average"
        )
        return Recognition(0.75 if facts.mean_words > 4 else 0.6, because)

    @classmethod
    def plan(cls, spec: TextSpec, facts: ColumnFacts, size: Size) -> tuple[TextSpec, Reasons]:
        """Decide what a token is by the net, and how many there are by how much text there is."""
        changes: dict[str, Any] = {}
        reasons: Reasons = {}

        def settle(field: str, value: Any, reason: str) -> Any:
            if getattr(spec, field) != AUTO:
                return getattr(spec, field)
            changes[field], reasons[field] = value, reason
            return value

        unit = settle("unit", *_unit(spec, size))
        hashed = unit == "hashed"
        pieces = settle(
            "pieces",
            hashed,
            "pieces of words stand in for what related and misspelt words share"
            if hashed
            else f"tokens are {unit}, of which no pieces are taken",
        )
        settle("buckets", *_buckets(unit, facts, size))
        least = min(max(size.rows // 10_000, 2), 10)
        settle(
            "min_count",
            1 if hashed else least,
            "hashed tokens need no vocabulary"
            if hashed
            else f"1 in 10,000 of {size.rows:,} rows, within 2 to 10: what occurs once teaches one row",
        )
        settle("max_tokens", *_length(unit, bool(pieces), facts, size))
        return spec.with_(**changes), reasons

    @classmethod
    def fit(cls, spec: TextSpec, column: pl.Series, tokeniser: str | None = None) -> Self:
        """Learn a vocabulary, where the unit has one.

        Args:
            spec: without autos.
            column: training cells.
            tokeniser: the tokenizer.json of the pretrained model that reads the column.

        Raises:
            RequestError: byte pairs or a model's own tokens are asked for, and the package `tokenizers` is not
                installed, or there is no such model.
        """
        assert spec.unit != AUTO and spec.buckets != AUTO and spec.max_tokens != AUTO, "fit before plan"
        assert spec.min_count != AUTO and spec.pieces != AUTO, "fit before plan"
        if spec.unit == "hashed":
            unit: Unit = Hashed(spec.buckets, spec.pieces)
        elif spec.unit == "backbone":
            if tokeniser is None:
                raise _no_tokeniser(column.name)
            unit = GivenTokens(tokeniser, where=f"column {column.name}")
        else:
            unit = _LEARNT[spec.unit].learn(_texts(column), spec.max_tokens, spec.buckets, spec.min_count)
        return cls(column.name, unit, spec.max_tokens, spec.augment)

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """`tokens` (N, max_tokens) int32."""
        texts = _texts(column)
        tokens = np.zeros((len(texts), self.max_tokens), np.int32)
        for start in range(0, len(texts), _ROWS):
            part = texts.slice(start, _ROWS)
            tokens[start : start + len(part)] = self.unit.tokens(part, self.max_tokens)
        return {"tokens": tokens}

    @classmethod
    def show(cls, cells: pl.Series, groups: Sequence[str | None] | None, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a person wants to see: how long the texts are, and which words they are made of.

        Args:
            cells: of the column.
            groups: of each cell its class, or None.
            options: settings, decided or not.
        """
        return show_texts(_texts(clean(cells, ColumnSpec(kind="text"))))

    def shape(self) -> SeqShape:
        """A seq of token ids."""
        pieces = first_piece(self.unit.size) if isinstance(self.unit, Hashed) and self.unit.pieces else None
        return SeqShape(vocabulary=self.unit.size, length=self.max_tokens, pieces=pieces)

    def state(self) -> dict[str, Any]:
        """The name, and what the unit learnt."""
        return {"name": self.name, **self.unit.state()}

    @classmethod
    def from_state(cls, spec: TextSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: a field is missing, of a wrong type, too long, or there is one too many.
        """
        if spec.unit == AUTO and spec.buckets != AUTO:  # bundles of 0.1.0 knew hashed tokens alone
            spec = spec.with_(unit="hashed", min_count=1)
        decided(spec, "a text column")
        assert spec.unit != AUTO and spec.buckets != AUTO and spec.max_tokens != AUTO and spec.pieces != AUTO
        stored = Stored(state, where="a text column")
        name = stored.text("name")
        unit: Unit
        if spec.unit == "hashed":
            unit = Hashed(spec.buckets, spec.pieces)
        else:
            unit = (GivenTokens if spec.unit == "backbone" else _LEARNT[spec.unit]).read(stored, spec.buckets)
        stored.done()
        return cls(name, unit, spec.max_tokens, spec.augment)


def _no_tokeniser(name: str) -> RequestError:
    return RequestError(
        f"{name!r} is to be read as the tokens of a pretrained model, and there is no tokeniser",
        where=f"data.columns.{name}.options.unit",
        expected="the net backbone for this column, with a checkpoint that holds a tokenizer.json",
        fix="name it with net.name=backbone and net.model=FOLDER; a checkpoint without tokenizer.json gets one from "
        "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) of transformers",
    )


def _texts(column: pl.Series) -> pl.Series:
    column = plain(column)
    return column if column.dtype == pl.String else canonical(column)


def _unit(spec: TextSpec, size: Size) -> tuple[UnitName, str]:
    if spec.augment.how == "unknown":
        return "words", "hidden tokens are to become the token of unknown words, which hashed words lack"
    if size.net is None:
        return "hashed", "the default net for text reads pieces of words too, which stand behind the words"
    if size.net in _PIECED:
        return "hashed", f"{size.net} reads pieces of words too, which stand behind the words"
    return "words", f"{size.net} reads tokens in their order, of which pieces behind the words would have none"


def _buckets(unit: str, facts: ColumnFacts, size: Size) -> tuple[int, str]:
    words = max(facts.mean_words, 1.0)
    total = size.rows * words
    if unit == "hashed":
        power = min(max(round(math.log2(max(total, 2.0))), 15), 18)
        rule = "as a power of two within 2^15 to 2^18, of which pieces take half"
        return 2**power, f"about {total:,.0f} words in all, {rule}"
    if unit == "words":
        return 2**15, "a bound for size; rare words share one id long before"
    if unit == "backbone":
        return 2**22, "a bound for size; the pretrained model's tokeniser says how many there are"
    if unit == "characters":
        return 2_048, "room for several alphabets; rarer characters share one id"
    power = min(max(round(math.log2(max(total, 2.0))) - 4, 10), 13)
    return 2**power, f"about {total:,.0f} words in all; a sixteenth of it as a power of two, within 2^10 to 2^13"


def _length(unit: str, pieces: bool, facts: ColumnFacts, size: Size) -> tuple[int, str]:
    """All tokens of 99 texts in 100, within bounds and within what the time allows."""
    words = max(facts.mean_words, 1.0)
    if unit == "hashed" and pieces:
        mean = words + 3 * facts.mean_characters
        return _eights(min(max(1.5 * mean, 16), 512)), f"1.5 times the mean of {mean:.0f} tokens, within 16 to 512"
    most = _LONGEST[unit]
    if unit == "characters":
        mean, long, what = facts.mean_characters, _high(facts.character_quantiles, facts.mean_characters), "characters"
    else:
        each = _PIECES_A_WORD if unit in ("bpe", "backbone") else 1.0
        marks = 2.0 if unit == "backbone" else 0.0  # of beginning and end
        mean, long = each * words + marks, each * _high(facts.word_quantiles, 1.2 * words) + marks
        what = "tokens"
    wanted = min(max(long, 8.0), most)
    reason = f"99 of 100 texts have {long:.0f} {what} at most; within 8 to {most}"
    if size.seconds is not None and size.rows:
        affordable = size.seconds * size.flops_per_second / (_TOKEN_OPERATIONS * _PASSES * size.rows)
        if affordable < min(mean, wanted):
            wanted = max(16.0, wanted * affordable / min(mean, wanted))
            reason += f"; {size.seconds:.0f} s allow {_PASSES} passes over about {affordable:.0f} of them in each text"
    return _eights(wanted), reason


def _high(quantiles: tuple[float, ...], mean: float) -> float:
    """The quantile .99 of the lengths, or a guess where they were not counted."""
    return quantiles[-2] if quantiles else 1.5 * mean


def _eights(length: float) -> int:
    return 8 * math.ceil(length / 8)
