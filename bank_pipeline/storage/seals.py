"""Texts that are sealed and handed out: to a cache, to a browser, in a link."""

import base64

from pydantic import SecretStr

from bank_pipeline.errors import SecretError
from bank_pipeline.storage.credentials import Sealed, Vault


class VaultSeal:
    """
    Seals what leaves the database for a while, with the key that seals credentials.

    `purpose` is what it is for: what was sealed for another does not open.
    """

    def __init__(self, vault: Vault, purpose: str = "cache") -> None:
        self._vault = vault
        self._purpose = purpose

    def close(self, secret: SecretStr, name: str) -> str:
        """Encrypt a text, bound to its name; what comes out may stand in an address."""
        sealed = self._vault.encrypt(secret, f"{self._purpose} {name}")
        return f"{sealed.key_id}.{base64.urlsafe_b64encode(sealed.ciphertext).decode()}"

    def open(self, text: str, name: str) -> SecretStr:
        """
        Decrypt it.

        Raises:
            SecretError: another key, another name, or an altered text.
        """
        key_id, _, body = text.partition(".")
        try:
            ciphertext = base64.b64decode(body, altchars=b"-_", validate=True)
        except ValueError:
            raise SecretError("a sealed text is not in a format we write") from None
        return self._vault.decrypt(Sealed(ciphertext, key_id), f"{self._purpose} {name}")
