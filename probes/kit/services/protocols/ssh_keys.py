"""The arithmetic of SSH's key exchange (RFC 4253, 5656, 8268, 8731), and the check of a host key's signature.

Classic Diffie-Hellman needs Python's own numbers only; elliptic curves and signatures need `cryptography`.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

# RFC 2409 section 6.2 and RFC 3526 section 3: primes for the generator 2.
_GROUP_1 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)
_GROUP_14 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)


class Exchange(Protocol):
    """One side of a key exchange: our first value, and the hash over all that was said (RFC 4253 section 8)."""

    def first(self) -> bytes:
        """Give what the first message holds."""
        ...

    def hash(self, *said: bytes) -> bytes | None:
        """Hash both identities, both KEXINITs (server's words first in each pair), the host key and the server's value.

        None when the server's value is impossible, or cannot be worked with here.
        """
        ...


def string(raw: bytes) -> bytes:
    """Write a string with its length."""
    return len(raw).to_bytes(4, "big") + raw


def number(value: int) -> bytes:
    """Write a positive number as an mpint."""
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big") if value else b"")


class _Classic:
    """Diffie-Hellman over a prime."""

    def __init__(self, prime: int, digest: str) -> None:
        self._prime, self._digest = prime, digest
        self._secret = int.from_bytes(os.urandom(32), "big") | 1
        self._public = pow(2, self._secret, prime)

    def first(self) -> bytes:
        return number(self._public)

    def hash(self, *said: bytes) -> bytes | None:
        value = int.from_bytes(said[5][:1024], "big")
        if not 1 < value < self._prime - 1:
            return None
        shared = pow(value, self._secret, self._prime)
        return _hash(self._digest, said[:5], number(self._public) + number(value), number(shared))


class _Curve25519:
    """X25519 (RFC 7748); without `cryptography` our value has no secret that we know, which the server cannot tell."""

    def __init__(self) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        except ImportError:
            self._secret: Any = None
            self._public = os.urandom(32)
        else:
            self._secret = X25519PrivateKey.generate()
            self._public = self._secret.public_key().public_bytes_raw()

    def first(self) -> bytes:
        return string(self._public)

    def hash(self, *said: bytes) -> bytes | None:
        if self._secret is None or len(said[5]) != 32:
            return None
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        try:
            shared = self._secret.exchange(X25519PublicKey.from_public_bytes(said[5]))
        except ValueError:
            return None
        values = string(self._public) + string(said[5])
        return _hash("sha256", said[:5], values, number(int.from_bytes(shared, "big")))


def _hash(digest: str, said: tuple[bytes, ...], values: bytes, shared: bytes) -> bytes:
    theirs, ours, their_init, our_init, key = said
    parts = b"".join(map(string, (ours, theirs, our_init, their_init, key)))
    return hashlib.new(digest, parts + values + shared).digest()


METHODS: Mapping[bytes, Callable[[], Exchange]] = {
    b"curve25519-sha256": _Curve25519,
    b"curve25519-sha256@libssh.org": _Curve25519,
    b"diffie-hellman-group14-sha256": lambda: _Classic(_GROUP_14, "sha256"),
    b"diffie-hellman-group14-sha1": lambda: _Classic(_GROUP_14, "sha1"),
    b"diffie-hellman-group1-sha1": lambda: _Classic(_GROUP_1, "sha1"),
}
"""In the order of our preference; the old ones are what switches of ten years ago speak."""


def proven(key: bytes, algorithm: bytes, signature: bytes, hashed: bytes) -> bool | None:
    """Tell whether a host key signed the hash; None where that cannot be checked here."""
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    except ImportError:
        return None
    found = split(signature)
    if found is None or not _same_kind(found[0], algorithm):
        return False
    try:
        public = _load(key)
        if isinstance(public, Ed25519PublicKey):
            public.verify(found[1], hashed)
        elif isinstance(public, EllipticCurvePublicKey):
            _verify_ec(public, found[1], hashed)
        elif isinstance(public, RSAPublicKey):
            _verify_rsa(public, found[0], found[1], hashed)
        else:
            return None  # DSA is on its way out, and proves little
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, NotImplementedError):  # the latter for a compressed point
        return None
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def split(signature: bytes) -> tuple[bytes, bytes] | None:
    """Read the name of an algorithm and the signature proper; None for anything else."""
    size = int.from_bytes(signature[:4], "big")
    rest = signature[4 + size :]
    if len(signature) < 8 + size or len(rest) != 4 + int.from_bytes(rest[:4], "big"):
        return None
    return signature[4 : 4 + size], rest[4:]


def _same_kind(signed: bytes, agreed: bytes) -> bool:
    rsa = (b"ssh-rsa", b"rsa-sha2-256", b"rsa-sha2-512")
    return signed == agreed or (signed in rsa and agreed in rsa)


def _load(key: bytes) -> Any:
    import base64

    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    size = int.from_bytes(key[:4], "big")
    if not 0 < size <= 64 or len(key) > 4096:
        raise ValueError("no host key")
    return load_ssh_public_key(key[4 : 4 + size] + b" " + base64.b64encode(key))


def _verify_ec(public: Any, signature: bytes, hashed: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    size = int.from_bytes(signature[:4], "big")
    first, second = signature[4 : 4 + size], signature[8 + size :]
    if not 0 < len(first) <= 80 or not 0 < len(second) <= 80:
        raise ValueError("no pair of numbers")
    pair = encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))
    bits = public.curve.key_size
    public.verify(pair, hashed, ECDSA(SHA256() if bits <= 256 else SHA384() if bits <= 384 else SHA512()))


def _verify_rsa(public: Any, algorithm: bytes, signature: bytes, hashed: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512

    digest = {b"rsa-sha2-256": SHA256, b"rsa-sha2-512": SHA512}.get(algorithm, SHA1)
    if public.key_size > 16384:
        raise ValueError("too long a key")
    public.verify(signature, hashed, PKCS1v15(), digest())
