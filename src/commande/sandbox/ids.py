"""Ids of Stripe's shapes, random or replayable from a seed."""

import random
import string

_ALPHABET = string.ascii_letters + string.digits
# Bytes to letters; that eight letters come up a little more often harms nobody.
_LETTERS = bytes(ord(_ALPHABET[byte % len(_ALPHABET)]) for byte in range(256))


class Ids:
    """Draws ids; the same seed and the same number of earlier starts give the same ids."""

    def __init__(self, seed: int | str | None, starts: int = 0) -> None:
        self.starts = starts
        # Not a secret: what opens a session here opens nothing anywhere else.
        self._random = random.Random(None if seed is None else f"{seed}/{starts}")  # noqa: S311

    def new(self, prefix: str, length: int = 24) -> str:
        return prefix + self._random.randbytes(length).translate(_LETTERS).decode()

    def session(self) -> str:
        return self.new("cs_test_a1", 56)
