"""Where the sandbox's randomness comes from: the same words always give the same dice. Pure."""

import hashlib
from random import Random


def dice(*words: object) -> Random:
    """
    Return a generator that depends on the words alone.

    Every account and day has its own, so what is drawn for one never depends on whether, when
    or in which order another was read. Words are told apart: ("a", "bc") is not ("ab", "c").
    """
    text = "\x1f".join(str(word) for word in words)
    return Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()))
