"""The policy that the collector handed down, kept on disk: the daemon holds its head, probes get the whole.

A whitelist may have 20,000 entries, which would cost the daemon more memory than all of itself. So the courier writes
what it received to a new file, the daemon puts that in force once the answer holds, and a probe's process reads it. The
first line of the file is the head: all but whitelist and targets.
"""

import json
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from agent.state import POLICY, replace_file, sync_folder
from wire.codec import decode, encode, from_plain, parse_json, to_plain
from wire.errors import DecodeError, WireError
from wire.types import MAX_PLAIN_BYTES, Policy

NONE = Policy(digest="", unit="", unit_name="", report_interval=300)
MAX_HEAD = 1 << 20
_PIECE = 1 << 16
_NEW = f"{POLICY}.new"


@dataclass(frozen=True, slots=True)
class Kept:
    """A policy in force: its head, and the file that holds the whole (None when there is no policy)."""

    head: Policy
    file: Path | None


def head_of(policy: Policy) -> Policy:
    """Leave out what only probes need."""
    return replace(policy, whitelist=(), targets=())


def stage(folder: Path, policy: Policy) -> None:
    """Write a policy next to the one in force, durable on return; raises OSError."""
    whole = encode(policy)
    line = json.dumps({"head": to_plain(head_of(policy)), "crc32": zlib.crc32(whole)}, ensure_ascii=False)
    replace_file(folder / _NEW, line.encode() + b"\n" + whole)


def adopt(folder: Path, head: Policy) -> Kept:
    """Put the staged policy in force, durable on return; raises OSError."""
    path = folder / POLICY
    (folder / _NEW).replace(path)
    sync_folder(folder)
    return Kept(head, path)


def load(folder: Path) -> tuple[Kept, str]:
    """Find the policy in force; with a text that says what is wrong with the file, if anything is.

    An unusable file counts as none: the next report says so, and the collector sends the policy again.
    """
    path = folder / POLICY
    try:
        with path.open("rb") as file:
            head, crc32 = _read_head(file.readline(MAX_HEAD))
            found = 0
            while piece := file.read(_PIECE):
                found = zlib.crc32(piece, found)
    except FileNotFoundError:
        return Kept(NONE, None), ""
    except OSError as error:
        return Kept(NONE, None), f"{path}: {error.strerror}"
    except WireError as error:
        return Kept(NONE, None), f"{path}: {error}"
    if found != crc32:
        return Kept(NONE, None), f"{path}: it is damaged"
    return Kept(head, path), ""


def read_whole(file: Path) -> Policy:
    """Read the whole policy of a file, for a probe or a person; raises OSError or WireError."""
    with file.open("rb") as source:
        _, crc32 = _read_head(source.readline(MAX_HEAD))
        whole = source.read(MAX_PLAIN_BYTES + 1)
    if zlib.crc32(whole) != crc32:
        raise DecodeError("policy", f"{file} is damaged")
    return decode(Policy, whole)


def _read_head(line: bytes) -> tuple[Policy, int]:
    plain = parse_json(line)
    if type(plain) is not dict or type(plain.get("crc32")) is not int:
        raise DecodeError("policy", "its first line is not one of this agent's")
    return from_plain(Policy, plain.get("head")), plain["crc32"]
