"""The people of the simulated world, with the names that real people have."""

import unicodedata
from typing import Final

NAMES: Final = (
    "Maren O'Brien-Castillo",
    "Zoë Müller-Østergård",
    "山田 太郎",
    "محمد العتيبي",
    'Robert "Bob" Tables, Jr.',
    "Łucja Żółć-Brzęczyszczykiewicz",
    "יעל בן־דוד",
    "Nguyễn Thị Ánh",
    "Renée d'Hôtel",
    "김민준",
    "Iñaki Muñoz y Peña",
    "Sven Großmann",
)

FRIENDS: Final = (
    "Ana García",
    "Jürgen Weiß",
    "Siân Llewellyn",
    "خالد",
    "Mia 🌻",
    "Oluwaseun Adé",
    "Chloé Dubois",
    "李娜",
)  # whom people pay and are paid by


def person_name(number: int) -> str:
    """Return the name of the world's person of this number, from 0; names come round again."""
    name = NAMES[number % len(NAMES)]
    generation = number // len(NAMES)
    return name if generation == 0 else f"{name} {generation + 1}"


def username(name: str, number: int) -> str:
    """Return a login name: ASCII, and unique by its number."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    letters = "".join(letter for letter in plain.partition(" ")[0] if letter.isalnum())
    return f"{letters or 'customer'}.{number}"
