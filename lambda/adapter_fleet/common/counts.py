"""Numbers with their nouns."""


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: 1 adapter, 2 adapters, 1,000 adapters. `plural` is for 'copies'."""
    return f"{number:,.15g} {noun_of(number, noun, plural)}"


def noun_of(number: float, noun: str, plural: str | None = None) -> str:
    """Return the noun alone, for '3 of 5 adapters': its number is that of what is before it."""
    return noun if number == 1 else plural or f"{noun}s"
