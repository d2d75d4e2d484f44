"""Encrypts secret values in the state with a passphrase, in the format of Pulumi's own `passphrase` secrets provider.

Format (pulumi/pulumi sdk/go/common/resource/config/crypt.go): AES-256-GCM, key by PBKDF2-SHA256 with 1,000,000 rounds;
a ciphertext is `v1:<nonce>:<ciphertext and tag>`, and the state's salt is `v1:<salt>:<ciphertext of "pulumi">`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from standalone.values import SECRET, SIGNATURE, Value, is_secret

ROUNDS = 1_000_000


class SecretsError(Exception):
    """There is no passphrase, or it does not fit the state."""


class Crypter:
    """Turns secret values into ciphertexts and back; without a passphrase it refuses both."""

    def __init__(self, passphrase: str | None, salt_state: str | None = None) -> None:
        self._key: bytes | None = None
        self.salt_state = salt_state
        self._passphrase = passphrase

    @classmethod
    def from_environment(cls, salt_state: str | None) -> Crypter:
        """The passphrase that `pulumi` would use: PULUMI_CONFIG_PASSPHRASE or the file that ..._FILE names."""
        file = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
        passphrase = os.environ.get("PULUMI_CONFIG_PASSPHRASE")
        if passphrase is None and file:
            passphrase = Path(file).read_text().strip()
        return cls(passphrase, salt_state)

    def protect(self, value: Value) -> Value:
        """The value with every secret in it encrypted."""
        if is_secret(value) and isinstance(value, dict):
            plaintext = json.dumps(value.get("value"), separators=(",", ":"))
            return {SIGNATURE: SECRET, "ciphertext": self._encrypt(plaintext)}
        if isinstance(value, dict):
            return {key: self.protect(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.protect(item) for item in value]
        return value

    def reveal(self, value: Value) -> Value:
        """The value with every ciphertext in it decrypted, still marked as secret."""
        if is_secret(value) and isinstance(value, dict) and isinstance(value.get("ciphertext"), str):
            plaintext = self._decrypt(str(value["ciphertext"]))
            return {SIGNATURE: SECRET, "value": json.loads(plaintext)}
        if isinstance(value, dict):
            return {key: self.reveal(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.reveal(item) for item in value]
        return value

    def provider_state(self) -> Mapping[str, Value] | None:
        """What the deployment's `secrets_providers` holds, None as long as nothing was encrypted."""
        return {"type": "passphrase", "state": {"salt": self.salt_state}} if self.salt_state else None

    def _unlock(self) -> bytes:
        if self._key is not None:
            return self._key
        if self._passphrase is None:
            raise SecretsError(
                "the stack has secret values, and there is no passphrase to keep them under: "
                "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE"
            )
        if self.salt_state is None:
            salt = secrets.token_bytes(8)
            self._key = _derive(self._passphrase, salt)
            self.salt_state = f"v1:{base64.b64encode(salt).decode()}:{self._encrypt('pulumi')}"
            return self._key
        _, salt_text, check = self.salt_state.split(":", 2)
        self._key = _derive(self._passphrase, base64.b64decode(salt_text))
        try:
            self._decrypt(check)
        except SecretsError:
            self._key = None
            raise
        return self._key

    def _encrypt(self, plaintext: str) -> str:
        nonce = secrets.token_bytes(12)
        ciphertext = AESGCM(self._unlock()).encrypt(nonce, plaintext.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(ciphertext).decode()}"

    def _decrypt(self, text: str) -> str:
        version, nonce, ciphertext = text.split(":")
        if version != "v1":
            raise SecretsError(f"the state holds a ciphertext of version {version}; this engine reads v1")
        try:
            plaintext = AESGCM(self._unlock()).decrypt(base64.b64decode(nonce), base64.b64decode(ciphertext), None)
        except InvalidTag as problem:
            raise SecretsError("the passphrase does not fit the state") from problem
        return plaintext.decode()


def _derive(passphrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ROUNDS, 32)
