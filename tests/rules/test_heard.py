"""Facts from what services said: the words of probes/kit/services on one side, the vocabulary on the other."""

from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.evaluate import judge
from rules.facts import FactValue, Subject, SubjectKind, facts_of
from rules.heard import heard
from rules.loader import load_packs
from rules.model import Verdict
from wire.types import Value

TODAY = date(2026, 11, 29)
RULES = [rule for rule in load_packs(run=False) if rule.select is SubjectKind.SERVICE]
SAFE = {"clear_text_login": False}
FACTS = facts_of(SubjectKind.SERVICE)


def of(service: str, said: Mapping[str, Value]) -> dict[str, FactValue]:
    found = heard({"service": service, **said}, TODAY)
    assert found.pop("service") == service
    return found


@pytest.mark.parametrize(
    ("service", "said", "facts"),
    [
        ("redis", {"authentication": "none"}, {"login": "none"}),
        ("redis", {"authentication": "protected mode"}, {"login": "required"}),
        ("mqtt", {"authentication": "refused client id"}, {}),
        ("iscsi", {"authentication": "none"}, {}),
        ("http", {"http.login": "basic"}, {"clear_text_login": True}),
        ("http", {"http.login": "digest"}, {"clear_text_login": False}),
        ("http", {"http.location": "HTTPS://x/"}, {"clear_text_login": False}),
        ("http", {"http.location": "/login"}, {}),
        ("https", {"http.login": "basic", "tls.version": "TLSv1.2"}, {"tls_version": "TLSv1.2", **SAFE}),
        ("telnet", {}, {"clear_text_login": True}),
        ("telnet", {"tls.version": "TLSv1.2"}, {"tls_version": "TLSv1.2", **SAFE}),
        ("ftp", {}, {}),
        ("ftp", {"starttls": "refused"}, {"clear_text_login": True}),
        ("ftp", {"starttls": "offered"}, {"clear_text_login": False}),
        ("imap", {"starttls": "refused", "mail.login": "offered"}, {"clear_text_login": True}),
        ("imap", {"starttls": "refused", "mail.login": "not offered"}, {"clear_text_login": False}),
        ("imap", {"starttls": "refused"}, {}),
        ("imap", {"starttls": "offered", "banner": "* OK ready"}, {"clear_text_login": False}),
        ("pop3", {"starttls": "refused"}, {}),
        ("pop3", {"starttls": "refused", "mail.login": "offered"}, {"clear_text_login": True}),
        ("pop3", {"starttls": "offered"}, {"clear_text_login": False}),
        ("smtp", {"starttls": "refused", "mail.login": "offered"}, {"clear_text_login": True}),
        ("smtp", {"starttls": "refused", "mail.login": "not offered"}, {"clear_text_login": False}),
        ("smtp", {"starttls": "refused"}, {}),
        ("ssh", {"protocol": "1.99"}, {"ssh_protocol": "1.99"}),
        ("rsync", {"protocol": "31.0"}, {}),
        ("microsoft-ds", {"signing": "optional", "protocol": "SMB 3.0.2"}, {"smb_signing": "optional"}),
        ("microsoft-ds", {"smb1": "accepted"}, {"smb1": True}),
        ("microsoft-ds", {"smb1": "refused"}, {"smb1": False}),
        ("ms-wbt-server", {"security": "standard RDP security"}, {"rdp_security": "standard"}),
        ("ms-wbt-server", {"security": "CredSSP with early authorisation"}, {"rdp_security": "credssp"}),
        ("ms-wbt-server", {"security": "refused"}, {}),
        ("domain", {"dns.recursion": "offered"}, {"dns_recursion": True}),
        ("domain", {"dns.recursion": "not offered"}, {"dns_recursion": False}),
        ("vnc", {"confidence": 0.7, "device": "d", "system": "s"}, {"confidence": 0.7, "device": "d", "system": "s"}),
        ("ssl", {"tls.not_after": "2026-12-01T00:00:00+00:00"}, {"cert_days_left": 2}),
        ("ssl", {"tls.not_after": "2025-11-29T00:00:00+00:00"}, {"cert_days_left": -365}),
        ("ssl", {"tls.not_after": "some day"}, {}),
        ("ssl", {"tls.not_before": "2026-12-01T00:00:00+00:00"}, {}),
        (
            "ssl",
            {"tls.not_before": "2026-11-01T00:00:00+00:00", "tls.not_after": "2026-12-01T00:00:00+00:00"},
            {"cert_days_left": 2, "cert_lifetime_days": 30},
        ),
        ("ssl", {"tls.key": "RSA 1024"}, {"cert_key": "RSA", "cert_key_bits": 1024}),
        ("ssl", {"tls.key": "EC secp256r1"}, {"cert_key": "EC", "cert_key_bits": 256}),
        ("ssl", {"tls.key": "Ed25519"}, {"cert_key": "Ed25519"}),
        ("ssl", {"tls.outdated": "TLSv1.1"}, {"tls_outdated": True}),
        ("ssl", {"tls.outdated": "refused"}, {"tls_outdated": False}),
        ("ssl", {"tls.self_signed": "yes"}, {"cert_self_signed": True}),
        ("ssl", {"tls.signature": "sha1"}, {"cert_signature": "sha1"}),
    ],
)  # fmt: skip
def test_each_word_becomes_its_fact(service: str, said: Mapping[str, Value], facts: Mapping[str, FactValue]) -> None:
    assert of(service, said) == facts


@pytest.mark.parametrize("nobody", [{}, {"service": "unknown"}, {"identified": False, "authentication": "none"}])
def test_a_service_that_nobody_understood_has_no_facts(nobody: Mapping[str, Value]) -> None:
    assert heard(nobody, TODAY) == {}


_VALUES = st.one_of(st.text(max_size=40), st.integers(), st.booleans(), st.floats(), st.none())
_NAMES = ("authentication", "tls.not_after", "tls.key", "security", "starttls", "banner", "confidence", "http.login")


@given(st.sampled_from(["http", "imap", "ssh", "ms-wbt-server"]), st.dictionaries(st.sampled_from(_NAMES), _VALUES))
def test_whatever_a_service_says_facts_are_of_their_type_and_rules_hold(service: str, said: dict[str, Value]) -> None:
    found = heard({"service": service, **said}, TODAY)
    assert all(type(value) is FACTS[name].type for name, value in found.items())
    judge(RULES, Subject(SubjectKind.SERVICE, "id", "640104", "label", found))


def test_of_an_open_port_alone_nothing_is_said_that_only_the_service_can_say() -> None:
    facts: dict[str, FactValue] = {"address": "192.0.2.1", "port": 8765, "transport": "tcp", "state": "open"}
    asked = [rule for rule in RULES if {"login", "clear_text_login", "tls_version", "smb_signing"} & {*rule.reads}]
    verdicts = {found.rule.id: found.verdict for found in judge(asked, Subject(SubjectKind.SERVICE, "", "", "", facts))}
    assert len(verdicts) == 7
    assert {*verdicts.values()} == {Verdict.UNKNOWN}
