import io

from rich.console import Console

from adapters_cli.reports.answers import ComponentAnswer, side_by_side


def answer(name: str, text: str = "", error: str | None = None) -> ComponentAnswer:
    return ComponentAnswer(component=name, name=name, text=text, error=error, seconds=1.0)


def shown(*answers: ComponentAnswer, width: int = 80) -> str:
    """Return what a terminal of this width shows, with its codes of colour."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=width, color_system="standard")
    console.print(side_by_side(answers, width))
    return output.getvalue()


def test_both_sides_of_two_answers_are_marked() -> None:
    text = shown(answer("base", "the dog barks"), answer("acme", "the cat barks"))
    assert "\x1b[31mdog\x1b[0m" in text
    assert "\x1b[1;32mcat\x1b[0m" in text


def test_of_several_each_is_marked_against_the_first() -> None:
    answers = [
        answer("base", "the dog barks"),
        answer("acme", "the cat barks"),
        answer("beta", "the dog sleeps"),
    ]
    text = shown(*answers, width=120)
    assert "the dog barks" in text
    assert "\x1b[1;32mcat\x1b[0m" in text
    assert "\x1b[1;32msleeps\x1b[0m" in text


def test_answers_that_still_grow_are_not_marked() -> None:
    growing = ComponentAnswer(component="acme", name="acme", text="the cat")
    text = shown(answer("base", "the dog barks"), growing)
    assert "\x1b[31mdog" not in text


def test_narrow_terminal_has_one_below_the_other() -> None:
    text = shown(answer("base", "the dog barks"), answer("acme", "the dog barks"), width=40)
    assert len([line for line in text.splitlines() if "the dog barks" in line]) == 2


def test_text_cannot_control_the_terminal() -> None:
    assert "\x1b[2J" not in shown(answer("base", "a\x1b[2Jb"), answer("acme", error="c\x1b[2Jd"))
