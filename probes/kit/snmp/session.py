"""One SNMP conversation with one agent at a time: pysnmp writes and reads the messages, the kit's Net carries them.

pysnmp never opens a socket here: its transport is a `Datagrams` of the sending layer, so that the scope is checked, and
the pace kept, before every datagram. Its event loop is ours too and needs no asyncio. Each answer has passed `ber`
before pysnmp sees it, and whatever its decoder makes of a hostile one ends as `Silent` or `BadAnswer`.
"""

import time
from collections.abc import Iterator
from typing import Any

from pyasn1.error import PyAsn1Error  # type: ignore[import-untyped]
from pyasn1.type.univ import Integer, Null, ObjectIdentifier  # type: ignore[import-untyped]
from pysnmp.carrier.asyncio.dgram.udp import SNMP_UDP_DOMAIN, UdpTransportAddress  # type: ignore[import-untyped]
from pysnmp.carrier.base import AbstractTransport, AbstractTransportDispatcher  # type: ignore[import-untyped]
from pysnmp.entity import config  # type: ignore[import-untyped]
from pysnmp.entity.engine import SnmpEngine  # type: ignore[import-untyped]
from pysnmp.entity.rfc3413 import cmdgen  # type: ignore[import-untyped]
from pysnmp.error import PySnmpError  # type: ignore[import-untyped]
from pysnmp.proto.rfc1905 import EndOfMibView, NoSuchInstance, NoSuchObject  # type: ignore[import-untyped]

from probes.kit.scope.addresses import Address
from probes.kit.sending.connection import Datagrams
from probes.kit.sending.net import Net
from probes.kit.snmp import ber
from probes.kit.snmp.credentials import Credential
from wire.errors import EdusecError

Oid = tuple[int, ...]
Value = int | bytes | Oid

MAX_DATAGRAM = 65507
MAX_BAD = 64
"""Datagrams that are no answer, after which an agent is given up."""
MAX_OCTETS = 1024
"""Bytes of a value that are kept: more than any text of it is shown, whatever an agent sends."""
MAX_INDEX = 40
"""Numbers of the longest index of our tables (LLDP's management addresses); a row with a longer one says nothing."""
REPETITIONS = 32
"""Rows asked for at a time; they fit a datagram of Ethernet's size or two."""
TIMEOUT = 1.5
RETRIES = 2
_TICK = 0.05
_HUNDREDTHS = 100
_NAME = "agent"

_AUTH = {
    "": config.USM_AUTH_NONE,
    "md5": config.USM_AUTH_HMAC96_MD5,
    "sha": config.USM_AUTH_HMAC96_SHA,
    "sha224": config.USM_AUTH_HMAC128_SHA224,
    "sha256": config.USM_AUTH_HMAC192_SHA256,
    "sha384": config.USM_AUTH_HMAC256_SHA384,
    "sha512": config.USM_AUTH_HMAC384_SHA512,
}
_PRIV = {
    "": config.USM_PRIV_NONE,
    "des": config.USM_PRIV_CBC56_DES,
    "aes128": config.USM_PRIV_CFB128_AES,
    "aes192": config.USM_PRIV_CFB192_AES,
    "aes256": config.USM_PRIV_CFB256_AES,
}

# What a decoder may do on a stranger's bytes; it says nothing about us.
_DECODING = (
    PySnmpError, PyAsn1Error, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


class Silent(EdusecError):
    """The agent gave no answer that can be used: it is not there, or does not know the credential."""


class Denied(EdusecError):
    """The agent answered that it does not accept the credential, or that it does not show this."""


class BadAnswer(EdusecError):
    """The agent answered something that no agent may answer; nothing more is asked of it."""


class Late(EdusecError):
    """The time for this agent is over."""


class _Dispatcher(AbstractTransportDispatcher):  # type: ignore[misc]  # pysnmp has no types
    """pysnmp's loop without asyncio: waits for one datagram at a time and keeps its clock ticking."""

    def __init__(self, line: Datagrams) -> None:
        super().__init__()
        self.set_timer_resolution(_TICK)
        self._line = line
        self._transport = _Transport(line)
        self.register_transport(SNMP_UDP_DOMAIN, self._transport)
        self._bad = 0

    def wait(self, done: list[Any], deadline: float) -> None:
        """Work until something is in `done`; raises Late, BadAnswer or OSError."""
        while not done:
            now = time.monotonic()
            if now >= deadline:
                raise Late("its time is over")
            try:
                datagram = self._line.receive(MAX_DATAGRAM, min(deadline, now + _TICK))
            except TimeoutError:
                self.handle_timer_tick(time.monotonic())
                continue
            except ConnectionRefusedError:
                raise Silent("nothing listens at its port") from None
            if not ber.acceptable(datagram):
                self._count_bad()
                continue
            try:
                self._transport.take(datagram)
            except _DECODING:
                self._count_bad()
            self.handle_timer_tick(time.monotonic())

    def _count_bad(self) -> None:
        self._bad += 1
        if self._bad >= MAX_BAD:
            raise BadAnswer("what it sends is no SNMP")


class _Transport(AbstractTransport):  # type: ignore[misc]  # pysnmp has no types
    """A transport that is one `Datagrams`; pysnmp's addresses are mere keys here."""

    PROTO_TRANSPORT_DISPATCHER = _Dispatcher
    ADDRESS_TYPE = UdpTransportAddress

    def __init__(self, line: Datagrams) -> None:
        self._line = line

    def send_message(self, outgoingMessage: bytes, transportAddress: object) -> None:  # noqa: ARG002, N803 (as pysnmp calls it)
        """Send through the sending layer."""
        self._line.send(bytes(outgoingMessage))

    def take(self, datagram: bytes) -> None:
        """Hand pysnmp what has arrived."""
        self._callback_function(self, UdpTransportAddress(_PLACE), datagram)


_PLACE = ("127.0.0.1", 161)
"""Where pysnmp believes the agent to be: the line knows the way, whichever family it is."""


class Session:
    """Reads from one agent; raises Refused (of the sending layer) or OSError when it cannot be asked at all.

    Used as a context manager. `deadline` is on time.monotonic().
    """

    def __init__(self, net: Net, address: Address, port: int, credential: Credential, deadline: float) -> None:
        """Check the scope and get ready; nothing is sent yet."""
        self._line = net.datagrams(address, port)
        self._deadline = deadline
        self._context = credential.context
        try:
            self._engine = SnmpEngine()
            self._dispatcher = _Dispatcher(self._line)
            self._engine.register_transport_dispatcher(self._dispatcher)
            _introduce(self._engine, credential)
        except BaseException:
            self._line.close()
            raise

    def get(self, *names: Oid) -> dict[Oid, Value]:
        """Read single objects; those that the agent does not have are left out."""
        bindings = self._ask(cmdgen.GetCommandGenerator(), [(ObjectIdentifier(name), Null("")) for name in names])
        return {name: value for name, value in bindings if name in names and value is not None}

    def column(self, root: Oid, most: int) -> Iterator[tuple[Oid, Value]]:
        """Walk one column of a table: index and value of each row, in order, `most` at most.

        Raises Silent, Denied, Late, and BadAnswer when names do not grow (RFC 3416 4.2.3): that might never end.
        """
        last, given = root, 0
        while given < most:
            rows = self._ask(
                cmdgen.BulkCommandGenerator(), [(ObjectIdentifier(last), Null(""))], min(REPETITIONS, most - given)
            )
            if not rows:
                return
            for name, value in rows:
                if name[: len(root)] != root or value is None:
                    return
                if name <= last:
                    raise BadAnswer("its names do not grow")
                last = name
                if len(name) - len(root) <= MAX_INDEX:
                    yield name[len(root) :], value
                given += 1
                if given >= most:
                    return

    def _ask(
        self, command: Any, bindings: list[tuple[Any, Any]], repetitions: int = 0
    ) -> list[tuple[Oid, Value | None]]:
        done: list[Any] = []

        def take(*answer: Any) -> None:
            done.append(answer)

        bulk = (0, repetitions) if repetitions else ()
        try:
            command.send_varbinds(self._engine, _NAME, None, self._context, *bulk, bindings, take)
        except _DECODING as error:
            raise Silent(f"pysnmp cannot ask it ({type(error).__name__})") from None
        self._dispatcher.wait(done, self._deadline)
        _engine, _handle, indication, status, _index, found, _context = done[0]
        if indication:
            word = type(indication).__name__
            raise Silent("no answer") if word in _SILENCE else Denied(word)
        if int(status):
            raise Denied(f"error status {int(status)}")
        try:
            return [(tuple(name), _plain(value)) for name, value in found]
        except _DECODING:
            raise BadAnswer("its values cannot be read") from None

    def close(self) -> None:
        """Close the line; harmless when it is closed already."""
        self._line.close()

    def __enter__(self) -> "Session":
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


_SILENCE = frozenset({"RequestTimedOut", "EmptyResponse"})


def _plain(value: Any) -> Value | None:
    """Give a value of pysnmp as a number, bytes or a name; None for "no such object" and the end of the view."""
    if isinstance(value, NoSuchObject | NoSuchInstance | EndOfMibView):
        return None
    if isinstance(value, ObjectIdentifier):
        return tuple(value)
    return int(value) if isinstance(value, Integer) else bytes(value)[:MAX_OCTETS]


def _introduce(engine: SnmpEngine, credential: Credential) -> None:
    """Tell pysnmp who asks and where."""
    level = "noAuthNoPriv"
    if credential.community:
        config.add_v1_system(engine, _NAME, credential.community)
    else:
        config.add_v3_user(
            engine,
            credential.user,
            _AUTH[credential.auth],
            credential.auth_password or None,
            _PRIV[credential.priv],
            credential.priv_password or None,
        )
        level = "authPriv" if credential.priv else "authNoPriv" if credential.auth else level
    name = _NAME if credential.community else credential.user
    config.add_target_parameters(engine, _NAME, name, level, 1 if credential.community else 3)
    config.add_target_address(
        engine, _NAME, SNMP_UDP_DOMAIN, _PLACE, _NAME, timeout=TIMEOUT * _HUNDREDTHS, retryCount=RETRIES
    )
