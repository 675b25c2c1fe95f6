"""Errors of the probes' kit.

EdusecError
├── CannotRun            the probe cannot work here at all; its text says what would mend it
├── UnknownProbe         no file of that name lies in probes/
├── OptionError          an option of a probe is unknown, of the wrong type or out of range
├── ScopeError           a scope entry or the scope file cannot be used; nothing was changed
└── Refused              the sending layer did not send; carries the Skipped that says what and why
    ├── OutOfScope       nobody authorised this target; its text holds the command that would
    ├── Quiet            these are quiet hours
    ├── TooLossy         so much gets lost on the way that sending more would do harm and tell nothing
    └── PayloadRefused   a printer's port: a connection is fine, a payload would be printed
"""

import shlex
import struct
import zlib

from probes.kit.reasons import because
from wire.errors import EdusecError
from wire.text import Text, lines_of, within
from wire.types import Skipped


class CannotRun(EdusecError):
    """The probe cannot work here at all (no such interface, no responder); its text says what would mend it."""


class UnknownProbe(EdusecError):
    """There is no probe of that name."""


class OptionError(EdusecError):
    """An option of a probe cannot be used; the text names probe, option and what is allowed.

    `key` is the option and `says` what is wrong with it; `key` is empty when there is no such option.
    """

    def __init__(self, probe: str, says: Text, key: str = "") -> None:
        super().__init__(within(f"{probe}: {key}" if key else probe, says))
        self.key, self.says = key, says


class ScopeError(EdusecError):
    """Scope entries cannot be used; `problems` holds one line per fault, each naming its place, and `text` all."""

    def __init__(self, *problems: Text) -> None:
        super().__init__(lines_of(problems))
        self.problems = problems


class Refused(EdusecError):
    """The sending layer did not send; `skipped` is what a probe yields in its place."""

    def __init__(self, what: str, code: str, detail: str) -> None:
        reason = because(code, detail)
        super().__init__(f"{what}: {reason}")
        self.skipped = Skipped(what, reason)


class OutOfScope(Refused):
    """Nobody authorised this target; `command` would, once its NAME, TEXT and DATE are filled in.

    `file` is the scope file that the command is to change, empty for the operator's own.
    """

    def __init__(self, what: str, value: str, file: str) -> None:
        self.command = f"edusec scope add {value} --authoriser NAME --reason TEXT --until DATE{in_file(file)}"
        self.value = value
        super().__init__(what, "out_of_scope", self.command)


def in_file(file: str) -> str:
    """Write the flag that makes `edusec scope` work on a file, none for the operator's own."""
    return f" --scope {shlex.quote(file)}" if file else ""


class Quiet(Refused):
    """These are quiet hours; nothing leaves this machine before they end."""

    def __init__(self, what: str, hours: str) -> None:
        super().__init__(what, "quiet_hours", hours)


class TooLossy(Refused):
    """More and more gets lost on the way, slower sending did not help, and more of it would only do harm."""

    def __init__(self, what: str) -> None:
        super().__init__(what, "loss", "")


class PayloadRefused(Refused):
    """A printer's port never gets a payload, because the printer would print it."""

    def __init__(self, what: str) -> None:
        super().__init__(what, "printer_port", "")


READING = (
    ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip
"""What reading a stranger's bytes may raise where a reader has a defect. It is met where answers come in: whoever owns
one host must not be able to end the scan of all others with it. (RecursionError is a RuntimeError.)"""
