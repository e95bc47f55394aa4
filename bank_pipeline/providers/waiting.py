"""Answers that wait for the last one of their update: packed, and on disk where they are many."""

import os
import tempfile
import weakref
import zlib
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HELD_BYTES_MAX: Final = 4 * 1024 * 1024
"""What waits in memory, packed: some 10,000 rows. The rest is on disk."""
_PACKED_LEVEL: Final = 1  # a quarter of the default's time for nine tenths of its effect
_NONCE_BYTES: Final = 12


class WaitingBodies:
    """
    Bodies of answers, in their order, to be read as often as wanted.

    A parsed page takes thirty times as much memory as a packed one, and a long history has
    thousands of pages. The file on disk has no name, so that nobody has to delete it, and is
    sealed with a key that only this process has.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._file: _SealedFile | None = None

    def append(self, body: bytes) -> None:
        """Add one body."""
        packed = zlib.compress(body, _PACKED_LEVEL)
        if self._file is None and self._size + len(packed) > HELD_BYTES_MAX:
            self._file = _SealedFile()
        if self._file is not None:
            self._file.append(packed)
        else:
            self._held.append(packed)
            self._size += len(packed)

    def __getitem__(self, number: int) -> bytes:
        """Return one body; its number is its place in the order."""
        if number < len(self._held):
            return zlib.decompress(self._held[number])
        if self._file is None:
            raise IndexError(number)
        return zlib.decompress(self._file[number - len(self._held)])


class _SealedFile:
    """Blocks in a file without a name; it is gone with this value, or with the process."""

    def __init__(self) -> None:
        self._cipher = AESGCM(AESGCM.generate_key(bit_length=256))
        self._places: list[tuple[int, int]] = []
        self._end = 0
        with tempfile.TemporaryFile(prefix="bank-pipeline-") as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    def append(self, block: bytes) -> None:
        sealed = self._cipher.encrypt(self._nonce(len(self._places)), block, None)
        written = 0
        while written < len(sealed):
            written += os.pwrite(self._descriptor, sealed[written:], self._end + written)
        self._places.append((self._end, len(sealed)))
        self._end += len(sealed)

    def __getitem__(self, number: int) -> bytes:
        begin, length = self._places[number]
        sealed = os.pread(self._descriptor, length, begin)
        return self._cipher.decrypt(self._nonce(number), sealed, None)

    @staticmethod
    def _nonce(number: int) -> bytes:
        """Each block has its own, under a key that seals nothing else."""
        return number.to_bytes(_NONCE_BYTES, "big")
