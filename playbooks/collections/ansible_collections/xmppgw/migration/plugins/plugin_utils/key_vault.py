"""A private key in Azure Key Vault that signs there: what certificates are signed with, without ever seeing the key.

Used on the controller by the issuer `key_vault` and by the action `authority_certificate`. Only a digest goes to the
vault, and only a signature comes back, which is checked before anything is made of it.
(learn.microsoft.com/rest/api/keyvault/keys/sign)
"""

from __future__ import annotations

import base64

from ansible_collections.xmppgw.migration.plugins.plugin_utils.azure_rest import AzureError, Uncertain, refused
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import IssuingError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

API_VERSION = "7.4"
CODE = "migration-key-vault"
ATTEMPTS = 3
"""Requests made while answers are lost: to sign a digest twice changes nothing."""
CURVES = {"P-256": (ec.SECP256R1, "ES256", hashes.SHA256, 32), "P-384": (ec.SECP384R1, "ES384", hashes.SHA384, 48)}
"""The vault's name of a curve to the curve, the algorithm, its digest, and the octets of half a signature."""


class VaultKey(ec.EllipticCurvePrivateKey):
    """A key as `cryptography` signs certificates with; its private half is the vault's and stays there."""

    def __init__(self, rest, url):
        """`rest`: an AzureRest; `url`: the key's, with a version or without. Raises IssuingError."""
        self._rest = rest
        found = self._ask("GET", url).get("key") or {}
        name = found.get("crv")
        if not str(found.get("kty", "")).startswith("EC") or name not in CURVES:
            kinds = ", ".join(CURVES)
            raise IssuingError(
                f"{url} is a key of kind {found.get('kty')} {name or ''}; an authority needs an EC key, {kinds}", CODE
            )
        curve, self._algorithm, self._digest, self._half = CURVES[name]
        self._curve = curve()
        # The version that was read signs, whatever becomes the newest meanwhile.
        self._url = str(found.get("kid") or url)
        try:
            x, y = (int.from_bytes(_decoded(found[axis]), "big") for axis in ("x", "y"))
            self._public = ec.EllipticCurvePublicNumbers(x, y, self._curve).public_key()
        except (KeyError, ValueError, TypeError) as error:
            raise IssuingError(f"{url} answered without a public key that can be read ({error!r})", CODE) from error

    @property
    def digest(self):
        """The digest that certificates are signed over."""
        return self._digest()

    @property
    def curve(self):
        """The key's curve."""
        return self._curve

    @property
    def key_size(self):
        """Bits."""
        return self._curve.key_size

    def public_key(self):
        """Return the public half."""
        return self._public

    def sign(self, data, signature_algorithm):
        """Return the vault's signature over the digest of `data`, DER; raise IssuingError."""
        if signature_algorithm.algorithm.name != self._digest.name:
            raise IssuingError(f"{self._url} signs {self._digest.name} only", CODE)
        digest = hashes.Hash(self._digest())
        digest.update(data)
        asked = {"alg": self._algorithm, "value": _encoded(digest.finalize())}
        try:
            raw = _decoded(self._ask("POST", f"{self._url}/sign", asked)["value"])
        except (KeyError, ValueError, TypeError) as error:
            raise IssuingError(f"{self._url} gave no signature ({error!r})", CODE) from error
        r, s = (int.from_bytes(part, "big") for part in (raw[: self._half], raw[self._half :]))
        signature = encode_dss_signature(r, s)
        try:
            self._public.verify(signature, data, ec.ECDSA(self._digest()))
        except InvalidSignature as error:
            raise IssuingError(f"{self._url} gave a signature that does not fit its own public key", CODE) from error
        return signature

    def _ask(self, method, url, body=None):
        lost = None
        for _attempt in range(ATTEMPTS):
            try:
                whole = f"{url}?api-version={API_VERSION}"
                answer = self._rest.ask(method, whole, audience="vault", body=body)
                if answer.status == 200:
                    return answer.value
                raise refused(answer, whole)
            except Uncertain as problem:
                lost = problem
            except AzureError as problem:
                raise IssuingError(str(problem), CODE) from problem
        raise IssuingError(f"{url} cannot be reached: {lost}", CODE)

    def exchange(self, algorithm, peer_public_key):
        """Refuse: the key signs and does nothing else."""
        raise NotImplementedError

    def private_numbers(self):
        """Refuse: nobody has them."""
        raise NotImplementedError

    def private_bytes(self, encoding, format, encryption_algorithm):  # noqa: A002 - the base class's name
        """Refuse: nobody has them."""
        raise NotImplementedError

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


def _encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
