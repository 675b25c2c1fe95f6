"""The facts in what a service said of itself: the values of its observation, as docs/probes.md lists them.

Whoever judges has them from here, so that a scan and the collector never read one answer in two ways. Only what was
said becomes a fact: a value that is missing, or that is no such word, leaves its facts unknown.
"""

import re
from collections.abc import Mapping
from datetime import date

from rules.facts import FactValue
from wire.types import Value

_AS_SAID = {"service": "service", "system": "system", "device": "device", "http.title": "http_title"}
_LOGIN = {"none": "none", "required": "required", "protected mode": "required"}
_DOOR_ONLY = frozenset({"iscsi"})
"""Protocols that were asked at the door: its disks may have logins of their own."""
_RDP = {
    "standard RDP security": "standard",
    "TLS": "tls",
    "CredSSP (NLA)": "credssp",
    "CredSSP with early authorisation": "credssp",
}
_YES_NO = {"yes": True, "no": False, "offered": True, "not offered": False, "accepted": True, "refused": False}
_FILES_AND_MAIL = frozenset({"ftp", "imap", "pop3", "smtp"})
"""Protocols that begin in clear text and may go on in TLS."""


def heard(values: Mapping[str, Value], today: date) -> dict[str, FactValue]:
    """Give the facts that the values of one service's observation hold, on a day (UTC).

    Empty for a service that nobody asked or understood. It raises nothing, whatever the values are.
    """
    said = {name: value for name, value in values.items() if isinstance(value, str) and value}
    service = said.get("service", "unknown")
    if service == "unknown":
        return {}
    sure = values.get("confidence")
    found: dict[str, FactValue] = {
        **{fact: said.get(value) for value, fact in _AS_SAID.items()},
        "confidence": float(sure) if isinstance(sure, int | float) else None,
        "login": _LOGIN.get(said.get("authentication", "")) if service not in _DOOR_ONLY else None,
        "clear_text_login": _clear_text_login(service, said),
        "onvif": said.get("onvif"),
        "tls_version": said.get("tls.version"),
        "tls_outdated": said["tls.outdated"] != "refused" if "tls.outdated" in said else None,
        "smb_signing": said.get("signing"),
        "smb1": _YES_NO.get(said.get("smb1", "")),
        "rdp_security": _RDP.get(said.get("security", "")),
        "ssh_protocol": said.get("protocol") if service == "ssh" else None,
        "dns_recursion": _YES_NO.get(said.get("dns.recursion", "")),
        **_of_certificate(said, today),
    }
    return {name: value for name, value in found.items() if value is not None}


def last_day(values: Mapping[str, Value]) -> date | None:
    """Give the day (UTC) on which the certificate that a service showed expires; None where none was read."""
    return _day(values.get("tls.not_after"))


def _day(said: Value | None) -> date | None:
    try:
        return date.fromisoformat(said[:10]) if isinstance(said, str) else None
    except ValueError:
        return None


def _of_certificate(said: Mapping[str, str], today: date) -> dict[str, FactValue]:
    first, last = _day(said.get("tls.not_before")), last_day(said)
    kind, _, size = said.get("tls.key", "").partition(" ")
    # A curve is named by its size, secp256r1; Ed25519 and its like have but one.
    bits = re.search(r"\d{3,5}", size)
    return {
        "cert_days_left": (last - today).days if last else None,
        "cert_lifetime_days": (last - first).days if first and last else None,
        "cert_self_signed": _YES_NO.get(said.get("tls.self_signed", "")),
        "cert_signature": said.get("tls.signature"),
        "cert_key": kind or None,
        "cert_key_bits": int(bits[0]) if bits else None,
        "cert_subject": said.get("tls.subject"),
    }


def _clear_text_login(service: str, said: Mapping[str, str]) -> bool | None:
    """Tell whether a login here crosses the line in clear text, as the service itself says.

    False also where there is no login at all; None where it did not say. Digests and challenges are no clear text.
    """
    if "tls.version" in said:
        return False
    if service == "telnet":
        return True
    if service == "http":
        if said.get("http.location", "").lower().startswith("https://"):
            return False
        return {"basic": True, "digest": False, "ntlm": False, "negotiate": False}.get(said.get("http.login", ""))
    refused = {"offered": False, "refused": True}.get(said.get("starttls", ""))
    if service == "ftp" or not refused:
        return refused if service in _FILES_AND_MAIL else None
    # Without TLS the login may be forbidden altogether; mail servers say so.
    return {"offered": True, "not offered": False}.get(said.get("mail.login", ""))
