"""The policy that the collector handed down, kept on disk: the daemon holds its head, probes get the whole.

A whitelist may have 20,000 entries, which would cost the daemon more memory than all of itself; so what the daemon
needs (the head) is the first line of the file, and the rest goes from the file to a probe's process as it is.
"""

import json
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from agent.state import POLICY, replace_file
from wire.codec import decode, from_plain, parse_json, to_plain
from wire.errors import WireError
from wire.types import MAX_PLAIN_BYTES, Policy

NONE = Policy(digest="", unit="", unit_name="", report_interval=300)
MAX_HEAD = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A policy on disk: its head (no whitelist, no targets), and where the whole is."""

    head: Policy
    path: Path

    def whole(self) -> bytes:
        """Give the JSON of the whole policy, or nothing when there is none."""
        if not self.head.digest:
            return b""
        try:
            return self.path.read_bytes().partition(b"\n")[2]
        except OSError:
            return b""


def head_of(policy: Policy) -> Policy:
    """Leave out what only probes need."""
    return replace(policy, whitelist=(), targets=())


def load(folder: Path) -> tuple[Kept, str]:
    """Read the policy kept; with a text that says what is wrong with the file, if anything is.

    An unusable file counts as none: the next report says so, and the collector sends the policy again.
    """
    path = folder / POLICY
    nothing = Kept(NONE, path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_HEAD + MAX_PLAIN_BYTES + 2)
    except FileNotFoundError:
        return nothing, ""
    except OSError as error:
        return nothing, f"{path}: {error.strerror}"
    line, _, whole = raw.partition(b"\n")
    try:
        plain = parse_json(line[:MAX_HEAD])
        if type(plain) is not dict or plain.get("crc32") != zlib.crc32(whole):
            return nothing, f"{path}: it is damaged"
        return Kept(from_plain(Policy, plain.get("head")), path), ""
    except WireError as error:
        return nothing, f"{path}: {error}"


def save(folder: Path, head: Policy, whole: bytes) -> Kept:
    """Keep a policy, durable on return; raises OSError."""
    path = folder / POLICY
    line = json.dumps({"head": to_plain(head_of(head)), "crc32": zlib.crc32(whole)}, ensure_ascii=False)
    replace_file(path, line.encode() + b"\n" + whole)
    return Kept(head_of(head), path)


def read_whole(kept: Kept) -> Policy:
    """Decode the whole policy (for `status`, never in the daemon); raises WireError."""
    whole = kept.whole()
    return decode(Policy, whole) if whole else NONE
