"""Print what becomes of every block of code in the documents: `python -m tests.docs`."""

from collections import Counter

from tests.docs.blocks import Block, Fate, pages
from tests.guides import table


def _count(blocks: list[Block] | tuple[Block, ...]) -> list[int]:
    fates = Counter(block.fate for block in blocks)
    return [len(blocks), *(fates[fate] for fate in Fate)]


def main() -> None:
    """Print a table of pages, and one of the blocks that nothing runs."""
    found = pages()
    every = [block for page in found for block in page.blocks]
    rows: list[list[object]] = [[page.name, *_count(page.blocks)] for page in found]
    rows.append(["all", *_count(every)])
    print(table(["page", "blocks", *(fate.value for fate in Fate)], rows))
    marked = [block for block in every if block.fate in (Fate.CHECKED, Fate.NOT_RUN)]
    reasons = [[block.name, block.fate.value, block.mark.text] for block in marked if block.mark]
    print()
    print(table(["block", "", "why nothing runs it"], reasons))


if __name__ == "__main__":
    main()
