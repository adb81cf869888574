"""A prompt's template: a text with columns of the dataset in braces."""

import string
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PromptTemplate:
    """A text such as `Ticket: {text}` with the names of columns. `{{` and `}}` stand for braces.

    Nothing but a column's name fits between braces: no attribute, index, conversion or format.
    """

    text: str
    _parts: tuple[tuple[str, str | None], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the template; raise ValueError if it is none."""
        try:
            parts = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise ValueError(
                f"'--template' should have pairs of braces, '{{{{' for a brace of its own ({error}), got"
                f" {self.text!r}"
            ) from None
        for _, column, format_, conversion in parts:
            if column is not None and (not column or format_ or conversion):
                raise ValueError(
                    f"'--template' should have only names of columns between braces, got {self.text!r}"
                )
        object.__setattr__(self, "_parts", tuple((text, column) for text, column, _, _ in parts))
        if not self.columns:
            raise ValueError(
                f"'--template' should have a column's name in braces, such as '{{text}}', got {self.text!r}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the template names, each once."""
        return tuple(dict.fromkeys(column for _, column in self._parts if column is not None))

    def fill(self, row: Mapping[str, str]) -> str:
        """Return the template with the texts of a row, which has all its columns."""
        return "".join(text + (row[column] if column is not None else "") for text, column in self._parts)
