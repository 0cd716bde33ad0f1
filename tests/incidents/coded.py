"""A column of text with few values, held as codes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

NULL = -1


@dataclass
class Coded:
    """Codes into words, one per row; ``NULL`` where there is no value."""

    codes: np.ndarray
    words: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, rows: int) -> Coded:
        """A column without a value."""
        return cls(np.full(rows, NULL, np.int32))

    def code(self, word: str) -> int:
        """The code of a word, which is added when it is new."""
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)

    def put(self, rows, word: str | None) -> None:
        """Give some rows (a mask or indices) a word, or none."""
        self.codes[rows] = NULL if word is None else self.code(word)

    def holds(self, word: str) -> np.ndarray:
        """Which rows have the word."""
        return self.codes == (self.words.index(word) if word in self.words else NULL - 1)

    def used(self) -> list[str]:
        """The words that some row has."""
        return [self.words[c] for c in np.unique(self.codes) if c != NULL]

    def at(self, rows: np.ndarray) -> Coded:
        """The column of other rows: ``rows`` index this one, a negative index gives null."""
        codes = np.where(rows >= 0, self.codes[rows], NULL).astype(np.int32)
        return Coded(codes, list(self.words))

    def copy(self) -> Coded:
        return Coded(self.codes.copy(), list(self.words))

    def arrow(self) -> pa.Array:
        """The texts as an Arrow array."""
        return texts(pa.array(self.words, pa.string()), self.codes)


def texts(words: pa.Array, rows: np.ndarray) -> pa.Array:
    """``words`` taken at ``rows``; null where negative."""
    return words.take(pa.array(rows, pa.int64(), mask=rows < 0))
