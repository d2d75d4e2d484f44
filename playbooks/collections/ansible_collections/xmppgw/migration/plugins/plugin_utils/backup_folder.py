"""A backup on the controller: one archive per host, and a manifest with the hash of every file.

Used by the actions of backup.yml and restore.yml. Archives are encrypted where a passphrase is among the secrets
(`backup/passphrase`); otherwise only their owner may read them, and private keys are left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

SCHEMA = 1
MANIFEST = "manifest.json"
PASSPHRASE = "backup/passphrase"  # noqa: S105 - the name of a secret
MAGIC = b"xmppgw-backup-1\n"
SALT, NONCE = 16, 12
"""Octets; the nonce is that of AES-GCM."""
WORK = 2**15
"""Cost of scrypt: about 32 MiB and a tenth of a second per archive."""


class BackupFolderError(Exception):
    """The backup cannot be used; the text says why."""

    code = "migration-backup"


def passphrase(secrets_file):
    """Return the passphrase among the secrets, or None."""
    try:
        found = json.loads(Path(secrets_file).read_text(encoding="utf-8")).get(PASSPHRASE)
    except (OSError, ValueError, AttributeError) as error:
        raise BackupFolderError(f"{secrets_file}: {error}") from error
    if found is not None and (not isinstance(found, str) or len(found) < 12):
        raise BackupFolderError(f"{PASSPHRASE} in {secrets_file} must be a text of twelve characters or more")
    return found


def encrypt(data, phrase):
    """Return the archive encrypted with AES-256-GCM under a key of the passphrase."""
    salt, nonce = secrets.token_bytes(SALT), secrets.token_bytes(NONCE)
    return MAGIC + salt + nonce + AESGCM(_key(phrase, salt)).encrypt(nonce, data, MAGIC)


def decrypt(data, phrase):
    """Return the archive in the clear; raises BackupFolderError."""
    if not data.startswith(MAGIC):
        return data
    if phrase is None:
        raise BackupFolderError(f"the backup is encrypted, and there is no {PASSPHRASE} among the secrets")
    body = data[len(MAGIC) :]
    salt, nonce, sealed = body[:SALT], body[SALT : SALT + NONCE], body[SALT + NONCE :]
    try:
        return AESGCM(_key(phrase, salt)).decrypt(nonce, sealed, MAGIC)
    except InvalidTag as error:
        raise BackupFolderError("the backup cannot be decrypted: another passphrase, or it was changed") from error


def _key(phrase, salt):
    return Scrypt(salt=salt, length=32, n=WORK, r=8, p=1).derive(phrase.encode())


def write(path, data):
    """Write a file that only its owner may read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def keep(folder, host, data, phrase):
    """Put a host's archive into the backup; return {archive, sha256, encrypted}."""
    sealed = encrypt(data, phrase) if phrase else data
    name = f"{host}.tar.enc" if phrase else f"{host}.tar"
    write(Path(folder) / name, sealed)
    return {"archive": name, "sha256": hashlib.sha256(sealed).hexdigest(), "encrypted": bool(phrase)}


def write_manifest(folder, manifest):
    """Write the manifest, last: a folder without one is no backup."""
    write(Path(folder) / MANIFEST, (json.dumps({"schema": SCHEMA, **manifest}, indent=2) + "\n").encode())


def read_manifest(folder):
    """Return the manifest of a backup after every archive was compared with its hash; raises BackupFolderError."""
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        hosts = {
            host: (entry["archive"], entry["sha256"], entry["entries"]) for host, entry in manifest["hosts"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupFolderError(f"{path} is not the manifest of a backup: {type(error).__name__}: {error}") from error
    if manifest.get("schema") != SCHEMA:
        raise BackupFolderError(f"{path} has schema {manifest.get('schema')}; this version reads {SCHEMA}")
    archives = [(name, digest) for name, digest, _entries in hosts.values()]
    if manifest.get("authorities"):
        archives.append((manifest["authorities"]["archive"], manifest["authorities"]["sha256"]))
    wrong = [name for name, digest in archives if _digest(Path(folder), name) != digest]
    if wrong:
        raise BackupFolderError(f"{', '.join(sorted(wrong))} in {folder} is absent or not what the manifest says")
    return manifest


def _digest(folder, name):
    if Path(name).name != name:
        return None
    try:
        with (folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
