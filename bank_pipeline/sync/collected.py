"""An archive that remembers what went in: the answers behind one reading."""

from bank_pipeline.domain.reading import AnswerKey
from bank_pipeline.providers.answers import Archive, RawAnswer


class Collected:
    """Archives answers, and names them in their order."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._keys: list[AnswerKey] = []

    def __call__(self, answer: RawAnswer) -> None:
        """Archive one answer."""
        self._archive(answer)
        self._keys.append((answer.operation, answer.digest))

    @property
    def keys(self) -> tuple[AnswerKey, ...]:
        """The answers so far."""
        return tuple(self._keys)
