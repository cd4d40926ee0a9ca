"""Does a reply recommend something that exists and fits? Its titles, held against the taste."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.dialogue.example import Catalogue, Example, Facts, Reply


@dataclass(frozen=True)
class Recommendation:
    """In [0, 1]: ``naming`` for a reply that names a title of the catalogue, the rest by the share of its titles that fit.

    A title fits where the facts like it, or like one of its tags. It costs everything to name one that the facts
    dislike (it or a tag of it), that the dialogue named already, or more than ``most`` different ones. A masked title
    (``<movie>``) is named, and fits nothing until it is filled in.
    """

    catalogue: Catalogue
    naming: float = 0.25
    most: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.naming <= 1 or self.most < 1:
            raise ValueError(f"naming {self.naming} and most {self.most}: expected a share, and at least one title.")

    def __call__(self, replies: Sequence[Reply]) -> list[float]:
        return [self.score(reply) for reply in replies]

    def score(self, reply: Reply) -> float:
        """The score of one reply."""
        named = list(dict.fromkeys(self.catalogue.find(reply.text)))
        masked = reply.text.count(self.catalogue.mask) if self.catalogue.mask else 0
        if not named:
            return self.naming if masked else 0.0
        if len(named) > self.most or any(self.refused(title, reply.example) for title in named):
            return 0.0
        fitting = sum(self.fits(title, reply.example.facts) for title in named) / (len(named) + masked)
        return self.naming + (1 - self.naming) * fitting

    def fits(self, title: str, facts: Facts) -> bool:
        """Whether the facts speak for a title."""
        return title in facts.liked_items or bool(set(self.catalogue.tags(title)) & set(facts.liked_tags))

    def refused(self, title: str, example: Example) -> bool:
        """Whether the facts speak against a title, or the dialogue named it already."""
        facts = example.facts
        if title in facts.disliked_items or set(self.catalogue.tags(title)) & set(facts.disliked_tags):
            return True
        return title in facts.mentioned_items or any(title in self.catalogue.find(t.text) for t in example.turns)
