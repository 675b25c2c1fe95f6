"""The few system calls that Python does not offer: sendmmsg(2), prctl(2), capget(2) and capset(2)."""

import ctypes
import os
from typing import Self

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)

_SET_DEATH_SIGNAL, _SET_NAME, _NO_NEW_PRIVILEGES, _AMBIENT = 1, 15, 38, 47
_AMBIENT_CLEAR_ALL = 4
_NET_RAW = 13
_CAPABILITY_VERSION = 0x20080522


class Buffer(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """`struct msghdr`."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("buffers", ctypes.c_void_p),
        ("buffer_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Message(ctypes.Structure):
    """`struct mmsghdr`: one datagram of a sendmmsg call."""

    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))

    @classmethod
    def of(cls, name: int, name_length: int, buffer: int) -> Self:
        """Describe one datagram by the addresses of its `struct sockaddr` (0 for none) and its `Buffer`."""
        return cls(_Header(name, name_length, buffer, 1))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    """The low 32 capabilities; the second element of the array has the high ones."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def send_messages(descriptor: int, messages: int, count: int) -> int:
    """Send `count` messages from an array at an address; gives how many were taken, raises OSError if none was."""
    sent: int = _libc.sendmmsg(descriptor, messages, count, 0)
    if sent < 0:
        raise _failure("sendmmsg")
    return sent


def die_with_parent(signal_number: int) -> None:
    """Ask for a signal when the parent's thread that started this process ends; changing the user id undoes it."""
    _prctl(_SET_DEATH_SIGNAL, signal_number)


def drop_capabilities() -> None:
    """Give up every capability, for this process and whatever it might execute."""
    _prctl(_NO_NEW_PRIVILEGES, 1)
    _prctl(_AMBIENT, _AMBIENT_CLEAR_ALL)
    _set_capabilities((_Capabilities * 2)())


def holds_net_raw() -> bool:
    """Tell whether this thread, or one that it forks, may open raw sockets."""
    return bool(_capabilities()[0].permitted & 1 << _NET_RAW)


def use_net_raw() -> None:
    """Put CAP_NET_RAW to use where this thread was only permitted it."""
    sets = _capabilities()
    sets[0].effective |= sets[0].permitted & 1 << _NET_RAW
    _set_capabilities(sets)


def name_process(name: str) -> None:
    """Set the name that `ps` shows, of 15 bytes at most."""
    _prctl(_SET_NAME, ctypes.addressof(ctypes.create_string_buffer(name.encode())))


def _capabilities() -> "ctypes.Array[_Capabilities]":
    sets = (_Capabilities * 2)()
    if _libc.capget(ctypes.byref(_CapabilityHeader(_CAPABILITY_VERSION, 0)), sets) != 0:
        raise _failure("capget")
    return sets


def _set_capabilities(sets: "ctypes.Array[_Capabilities]") -> None:
    if _libc.capset(ctypes.byref(_CapabilityHeader(_CAPABILITY_VERSION, 0)), sets) != 0:
        raise _failure("capset")


def _prctl(option: int, value: int, more: int = 0) -> int:
    answer: int = _libc.prctl(option, value, more, 0, 0)
    if answer < 0:
        raise _failure("prctl")
    return answer


def _failure(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
