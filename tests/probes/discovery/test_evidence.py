"""One spelling for each piece of evidence of who a device is; docs/probes.md promises it to the collector."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from probes.kit import evidence


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("abbbccddeeff", ""),  # a group's
        ("a8bbccddeeff", "a8:bb:cc:dd:ee:ff"),
        ("000000000000", ""),
        ("ffffffffffff", ""),
        ("a8bbccddee", ""),
        ("a8bbccddeeff0011", ""),
        ("", ""),
    ],
)
def test_a_mac_has_one_spelling_and_groups_have_none(raw: str, expected: str) -> None:
    assert evidence.normal_mac(bytes.fromhex(raw)) == expected


def test_a_made_up_mac_says_so() -> None:
    assert evidence.is_local_mac("da:a1:19:00:00:01")
    assert not evidence.is_local_mac("00:1b:21:00:00:01")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Teacher-PC", "teacher-pc"),
        ("teacher-pc.local.", "teacher-pc"),
        ("TEACHER-PC.lan", "teacher-pc"),
        ("nas.school.edu.cn", "nas.school.edu.cn"),
        ("WIN_7", "win_7"),
        ("printer.local.lan", "printer"),
        ("localhost", ""),
        ("android", ""),
        ("*", ""),
        ("10.0.0.5", ""),
        ("a b", ""),
        ("-a", ""),
        ("a" * 64, ""),
        ("教室", ""),
        ("\x1b[2J", ""),
        ("...", ""),
    ],
)
def test_a_hostname_has_one_spelling_without_local_suffixes(text: str, expected: str) -> None:
    assert evidence.normal_hostname(text) == expected


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("01a8bbccddeeff", ""),  # the MAC once more
        ("01a8bbccddee00", "id:01a8bbccddee00"),
        ("00706f73742d3132", "id:00706f73742d3132"),
        ("ff12345678" + "00010001aabbccdda8bbccddeeff", "duid:00010001aabbccdda8bbccddeeff"),
        ("01", ""),
        ("0100000000", ""),
        ("00" + "61" * 200, ""),
        ("", ""),
    ],
)
def test_a_dhcp_client_is_known_by_duid_or_identifier(client: str, expected: str) -> None:
    assert evidence.dhcp_id(bytes.fromhex(client), "a8:bb:cc:dd:ee:ff") == expected


def test_a_duid_reads_the_same_over_both_families() -> None:
    raw = bytes.fromhex("00030001a8bbccddeeff")
    assert evidence.duid(raw) == evidence.dhcp_id(b"\xff\x00\x00\x00\x01" + raw, "")
    assert evidence.duid(b"") == evidence.duid(bytes(10)) == ""


def test_uuids_are_found_sorted_and_bounded_and_nil_ones_left_out() -> None:
    one, two = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "0bb7b810-9dad-11d1-80b4-00c04fd430c8"
    texts = [f"uuid:{one.upper()}::upnp:rootdevice", f"urn:uuid:{two}", one, "uuid:nonsense"]
    assert evidence.uuids(texts) == (two, one)
    assert evidence.normal_uuid("00000000-0000-0000-0000-000000000000") == ""
    assert evidence.normal_uuid("ffffffff-ffff-ffff-ffff-ffffffffffff") == ""
    many = [f"{number:08x}-9dad-11d1-80b4-00c04fd430c8" for number in range(100)]
    assert len(evidence.uuids(many)) == evidence.MOST_UUIDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" SN-4711 ", "SN-4711"),
        ("ZA12345678", "ZA12345678"),
        ("00000000", ""),
        ("00:00:00", ""),
        ("12345678", ""),
        ("0123456789", ""),
        ("None", ""),
        ("To be filled by O.E.M.", ""),
        ("7", ""),
        ("a" * 30 + "b" * 40, ""),
        ("SN\x1b[2J", ""),
    ],
)
def test_a_serial_number_that_firmwares_hold_without_one_is_none(text: str, expected: str) -> None:
    assert evidence.normal_serial(text) == expected


@given(some.text(max_size=300))
def test_whatever_a_device_says_is_written_once_and_for_all(text: str) -> None:
    name, uuid = evidence.normal_hostname(text), evidence.normal_uuid(text)
    assert evidence.normal_hostname(name) == name
    assert name.isascii()
    assert name.isprintable()
    assert evidence.normal_uuid(uuid) == uuid
