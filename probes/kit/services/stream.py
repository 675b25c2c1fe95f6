"""The bytes of one conversation on a socket that never blocks: plain or encrypted, sent and received within bounds."""

import socket
import ssl
from dataclasses import dataclass, field

MOST_BYTES = 1 << 20
"""Bytes that one connection may send us, encryption included; more than any conversation asks for."""
_CHUNK = 16 << 10


@dataclass(slots=True, eq=False)
class Stream:
    """A connected socket with what waits to be sent and what has arrived, both in clear.

    `closed` once either side has ended it or it broke, `answered` once the peer did anything at all. Nothing here
    raises for what the peer does.
    """

    sock: socket.socket
    outgoing: bytearray = field(default_factory=bytearray)
    incoming: bytearray = field(default_factory=bytearray)
    received: int = 0
    closed: bool = False
    answered: bool = False
    _tls: ssl.SSLObject | None = None
    _tls_in: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    _tls_out: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    _shaking: bool = False

    def read(self, wanted: int) -> None:
        """Take what has arrived, until there are `wanted` bytes and a chunk at least."""
        while not self.closed:
            if len(self.incoming) >= max(wanted, _CHUNK):
                return
            try:
                data = self.sock.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self.answered = True  # hanging up is an answer too
            self.received += len(data)
            if not data or self.received > MOST_BYTES:
                # A flood of records that hold nothing for us would keep this loop, and all other streams, busy.
                self.closed = True
                if self._tls is not None:
                    self._tls_in.write_eof()
            elif self._tls is not None:
                self._tls_in.write(data)
                self._decrypt()
            else:
                self.incoming += data

    def write(self, data: bytes) -> None:
        """Send bytes, or keep what the socket does not take yet."""
        if self._tls is not None:
            try:
                self._tls.write(data)
            except ssl.SSLError:
                self.closed = True
        else:
            self.outgoing += data
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        if self._tls is not None:
            self.outgoing += self._tls_out.read()
        while self.outgoing and not self.closed:
            try:
                sent = self.sock.send(self.outgoing)
            except BlockingIOError:
                return
            except OSError:
                self.closed = True
                return
            del self.outgoing[:sent]

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on; `shake` has to come to its end first."""
        self._tls_in, self._tls_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._tls_in, self._tls_out, server_side=False, server_hostname=None)
        self._shaking = True

    def shake(self, *, give_up: bool) -> bytes | None:
        """Go on with the handshake: the peer's certificate (DER) at its end, b"" where there is none, None before."""
        certificate = b""
        try:
            if self._tls is None:
                raise ValueError("the handshake has not begun")
            self._tls.do_handshake()
            certificate = self._tls.getpeercert(binary_form=True) or b""
        except ssl.SSLWantReadError:
            if not give_up:
                self.flush()
                return None
        except (ssl.SSLError, ValueError):
            certificate = b""
        self._shaking = False
        self.flush()
        self._decrypt()
        return certificate

    def cipher(self) -> bytes:
        """Name the TLS version and cipher suite, such as `TLSv1.3 TLS_AES_256_GCM_SHA384`; b"" without TLS."""
        cipher = self._tls.cipher() if self._tls is not None else None
        return f"{self._tls.version()} {cipher[0]}".encode() if self._tls is not None and cipher else b""

    def _decrypt(self) -> None:
        if self._tls is None or self._shaking:
            return
        try:
            while data := self._tls.read(_CHUNK):
                self.incoming += data
                if len(self.incoming) >= 4 * _CHUNK:
                    return
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:
            self.closed = True
