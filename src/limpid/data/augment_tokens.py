"""How tokens are changed in training, so that no single word decides: settings, free of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limpid.core.spec import Spec


class TokenAugmentSpec(Spec):
    """Changes of a training text, drawn anew for each row in each pass; 0 leaves one out.

    Word dropout as in Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods for text classification",
    who leave out 0.3 of the words.
    """

    dropout: Annotated[float, Field(ge=0.0, le=0.9)] = Field(
        default=0.0, description="share of a text's tokens that a pass hides; one of them always stays"
    )
    how: Literal["remove", "unknown"] = Field(
        default="remove",
        description="remove: hidden tokens are left out, and the others move up; unknown: they become the token of "
        "words that no training row had, which hashed words lack",
    )

    @property
    def any(self) -> bool:
        """Whether anything is changed."""
        return self.dropout > 0
