"""What goes wrong on the way: which request meets which fault, decided by a seed.

Faults that belong to the data (duplicates, dropped or late rows, edited scores, repeated cursors) are the doubles' own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from .http import Answer, Request

HTML = b"<html><head><title>524: A timeout occurred</title></head><body>cloudflare</body></html>"
KINDS = (
    "429_after", "429_bare", "422", "413", "500", "502", "503", "524", "408", "cut", "slow", "garbage",
)  # fmt: skip


@dataclass
class Faults:
    """A request meets a fault of ``kinds`` with probability ``rate``; after ``most_in_a_row`` of them one goes through.

    ``big`` is the page size above which 413 and 422 strike when they are among the kinds (a real server answers a smaller page).
    """

    kinds: tuple[str, ...] = ()
    rate: float = 0.3
    seed: int = 0
    most_in_a_row: int = 3
    met: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        self._random = random.Random(self.seed)
        self._row = 0

    def meet(self, request: Request) -> Answer | None:
        """The fault that this request meets, or None."""
        if not self.kinds or self._row >= self.most_in_a_row or self._random.random() >= self.rate:
            self._row = 0
            return None
        self._row += 1
        kind = self._random.choice(self.kinds)
        self.met[kind] = self.met.get(kind, 0) + 1
        return _answer(kind, self._random)


def _answer(kind: str, chance: random.Random) -> Answer:
    if kind == "429_after":
        return Answer(429, {"message": "Rate limit exceeded"}, {"retry-after": str(chance.choice((1, 2, 30)))})
    if kind == "429_bare":
        return Answer(429, {"message": "Rate limit exceeded"})
    if kind == "422":
        return Answer(422, {"error": "Request timed out"})
    if kind == "524":
        return Answer(524, HTML, {"content-type": "text/html; charset=UTF-8"})
    if kind == "cut":
        return Answer(200, {"data": [{"id": "half"}] * 50}, cut=True)
    if kind == "slow":
        return Answer(200, {"data": []}, late=1e6)
    if kind == "garbage":
        return Answer(200, b'{"data": [{"id": "tr', {"content-type": "application/json"})
    return Answer(int(kind), {"error": f"HTTP {kind}"})
