"""SSH (RFC 4253): the identification string, and the host key, read and proven by a key exchange that then ends.

The exchange goes as far as the server's reply: it holds the host key and a signature that only its holder can make.
Nothing is encrypted and no user is named. Without `cryptography` the signature cannot be checked: the key is unproven.
"""

import hashlib
import os
import re
import struct
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

from probes.kit.services.protocols import ssh_keys
from probes.kit.services.talk import Heard, Receive, Send, text

IDENTITY = b"SSH-2.0-edusec"
MAX_PACKET = 35_000
"""RFC 4253 section 6.1."""
MAX_PACKETS = 8
KEXINIT, KEX_INIT, KEX_REPLY = 20, 30, 31
_SKIPPED = frozenset({2, 3, 4, 7})
"""IGNORE, UNIMPLEMENTED, DEBUG and EXT_INFO."""
HOST_KEYS = (
    b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521",
    b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa", b"ssh-dss",
)  # fmt: skip
"""Always in this order, so that a server with several keys shows the same one each time."""
_CIPHERS = b"aes128-ctr,aes256-ctr,aes128-cbc,3des-cbc,chacha20-poly1305@openssh.com,aes128-gcm@openssh.com"
_MACS = b"hmac-sha2-256,hmac-sha2-512,hmac-sha1,hmac-md5"
_IDENTIFICATION = re.compile(rb"(?:[^\n]{0,255}\n){0,8}?SSH-(\d\.\d{1,2})-([^\r\n]{1,253})\r?(?:\n|$)")


def read(raw: bytes) -> Heard | None:
    """Read an identification string; lines may stand before it (RFC 4253, section 4.2)."""
    found = _IDENTIFICATION.match(raw)
    if found is None:
        return None
    banner = text(found[2])
    return Heard("ssh", {"protocol": text(found[1]), "banner": banner}, (("ssh.banner", banner),))


def go_on(heard: Heard, raw: bytes) -> Generator[Send | Receive, bytes, Heard]:
    """Exchange keys with a server that has identified itself in `raw`; gives what was heard with its host key."""
    found = _IDENTIFICATION.match(raw)
    if found is None or found[1] not in (b"2.0", b"1.99"):
        return heard
    theirs = b"SSH-" + found[1] + b"-" + found[2]
    stream = _Stream(raw[found.end() :])
    yield Send(IDENTITY + b"\r\n")
    server_init = yield from stream.message(KEXINIT)
    offered = _name_lists(server_init)
    chosen = _choose(offered)
    if chosen is None:
        return heard
    method, host_key = chosen
    own_init = _kexinit()
    exchange = ssh_keys.METHODS[method]()
    yield Send(_packet(own_init) + _packet(bytes([KEX_INIT]) + exchange.first()))
    reply = yield from stream.message(KEX_REPLY)
    parts = _strings(reply[1:], 3)
    if len(parts) < 3 or not parts[0]:
        return heard
    key, value, signature = parts
    facts = {"hostkey_type": text(_strings(key, 1)[0] if _strings(key, 1) else b"", 64)}
    digest = hashlib.sha256(key).hexdigest()
    hashed = exchange.hash(theirs, IDENTITY, server_init, own_init, key, value)
    proof = None if hashed is None else ssh_keys.proven(key, host_key, signature, hashed)
    if proof is not False:
        # A key that is merely shown is public, anybody can show it: only a proven one is evidence of who it is.
        facts["hostkey" if proof else "hostkey_unproven"] = digest
    return replace(heard, facts={**heard.facts, **facts})


@dataclass(slots=True)
class _Stream:
    """What the server has sent and nobody has read yet."""

    rest: bytes

    def message(self, number: int) -> Generator[Send | Receive, bytes, bytes]:
        """Give the next message of a number; empty when another one, or none, comes."""
        for _ in range(MAX_PACKETS):
            held = self.rest
            if not _whole(held):
                got = yield Receive(lambda raw, held=held: _whole(held + raw), MAX_PACKET + 4)  # type: ignore[misc]
                self.rest = held = held + got
            if not _whole(held) or (size := _size(held)) is None:
                return b""
            padding = held[4]
            payload, self.rest = held[5 : 4 + size - padding], held[4 + size :]
            if payload[:1] == bytes([number]):
                return payload
            if not payload or payload[0] not in _SKIPPED:
                return b""
        return b""


def _size(raw: bytes) -> int | None:
    """Give the length of the packet that begins here; None for one that no server may send."""
    size = int.from_bytes(raw[:4], "big")
    return size if len(raw) >= 5 and 5 <= size <= MAX_PACKET and raw[4] < size - 1 else None


def _whole(raw: bytes) -> bool:
    if len(raw) < 5:
        return False
    size = _size(raw)
    return size is None or len(raw) >= 4 + size


def _packet(payload: bytes) -> bytes:
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + os.urandom(padding)


def _kexinit() -> bytes:
    lists = (b",".join(ssh_keys.METHODS), b",".join(HOST_KEYS), _CIPHERS, _CIPHERS, _MACS, _MACS)
    fields = b"".join(ssh_keys.string(item) for item in (*lists, b"none", b"none", b"", b""))
    return bytes([KEXINIT]) + os.urandom(16) + fields + b"\0" * 5


def _name_lists(payload: bytes) -> Mapping[str, list[bytes]]:
    """Read the two lists of a KEXINIT that matter here; they are what the server can do."""
    found = _strings(payload[17:], 2)
    names = ("kex", "host_key")
    return {name: item.split(b",")[:128] for name, item in zip(names, found, strict=False)}


def _choose(offered: Mapping[str, list[bytes]]) -> tuple[bytes, bytes] | None:
    method = next((name for name in ssh_keys.METHODS if name in offered.get("kex", ())), None)
    key = next((name for name in HOST_KEYS if name in offered.get("host_key", ())), None)
    return None if method is None or key is None else (method, key)


def _strings(raw: bytes, count: int) -> list[bytes]:
    """Read so many length-prefixed strings; fewer where the bytes run out."""
    found: list[bytes] = []
    at = 0
    while len(found) < count and at + 4 <= len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        if at + 4 + size > len(raw):
            break
        found.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return found
