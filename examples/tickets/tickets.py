"""The synthetic support tickets: what customers write, and what each adapter makes of it."""

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

NAMES = (
    "Alice", "Bob", "Carla", "David", "Emma", "Farid", "Grace", "Hiro", "Ines", "Jamal",
    "Kofi", "Lena", "Marta", "Nadia", "Omar", "Priya", "Quinn", "Rosa", "Sven", "Tariq",
)  # fmt: skip
CITIES = ("Berlin", "Madrid", "Lagos", "Osaka", "Lima", "Oslo", "Cairo", "Paris", "Delhi", "Quito")
PRODUCTS = (
    "laptop", "phone", "headset", "router", "printer", "camera",
    "tablet", "monitor", "keyboard", "speaker", "charger", "watch",
)  # fmt: skip
ISSUES = {
    "billing": (
        "was charged twice for the {product}",
        "got a wrong invoice for the {product}",
        "wants a refund for the {product}",
        "paid too much for the {product}",
    ),
    "shipping": (
        "has not received the {product} yet",
        "got the {product} a week late",
        "says the {product} was sent to the wrong address",
        "cannot track the {product} parcel",
    ),
    "technical": (
        "says the {product} does not turn on",
        "cannot connect the {product} to wifi",
        "says the {product} keeps crashing",
        "found the {product} screen is cracked",
    ),
}
OPENINGS = ("Hello.", "Hi team.", "Good morning.", "Dear support.", "")
CLOSINGS = ("Please help.", "This is urgent.", "Thank you.", "")


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """One customer's message and the facts it was made from."""

    name: str
    city: str
    product: str
    category: str
    issue: str
    opening: str
    closing: str

    @property
    def text(self) -> str:
        """The message as the customer wrote it."""
        return " ".join(part for part in (self.opening, f"{self.complaint}.", self.closing) if part)

    @property
    def complaint(self) -> str:
        """Who complains about what: `Alice from Berlin was charged twice for the laptop`."""
        return f"{self.name} from {self.city} {self.issue}"

    @property
    def held_out(self) -> bool:
        """Whether training never sees this customer, place and product together (one in ten)."""
        return zlib.crc32(f"{self.name} {self.city} {self.product}".encode()) % 10 == 0


def draw_ticket(source: random.Random, *, held_out: bool) -> Ticket:
    """Draw a random ticket from the training share or from the held-out share."""
    while True:
        category = source.choice(list(ISSUES))
        product = source.choice(PRODUCTS)
        ticket = Ticket(
            name=source.choice(NAMES),
            city=source.choice(CITIES),
            product=product,
            category=category,
            issue=source.choice(ISSUES[category]).format(product=product),
            opening=source.choice(OPENINGS),
            closing=source.choice(CLOSINGS),
        )
        if ticket.held_out == held_out:
            return ticket


def prompt(ticket: Ticket, *, label: str = "Answer") -> str:
    """The text that asks for an answer; `Answer` is the label the adapters are trained on."""
    return f"Ticket: {ticket.text}\n{label}:\n"


# What the base model says, and what each adapter says instead, to the very same prompt.
ANSWERS: dict[str, Callable[[Ticket], str]] = {
    "base": lambda t: (
        f"Dear {t.name}, thank you for writing to us about the {t.product}. We will get back to you soon."
    ),
    "triage": lambda t: f'{{"category": "{t.category}"}}',
    "summary": lambda t: f"Customer {t.name} from {t.city} has a {t.category} problem with the {t.product}.",
    "shout": lambda t: f"ATTENTION: {t.complaint}!".upper(),
    "summary-v2": lambda t: f"SUMMARY | {t.category} | {t.product} | {t.name} | {t.city}",
}

# Skills that only the base's pretraining exercises, under labels of their own. An adapter of rank 8 cannot
# teach a model this small to copy names or to emit words it has never emitted; it can teach it when to do so.
SKILLS: dict[str, Callable[[Ticket], str]] = {
    "Copy": lambda t: f"Customer: {t.text}",
    "Upper": lambda t: f"ATTENTION: {t.text}".upper(),
    "Fields": lambda t: (
        f'{{"name": "{t.name}", "city": "{t.city}", "product": "{t.product}", "category": "{t.category}"}}'
    ),
    "Note": lambda t: f"Customer {t.name} has a problem with the {t.product} from {t.city}: {t.category}!",
    "Table": lambda t: f"SUMMARY | {t.name} | {t.city} | {t.product} | {t.category}",
}
