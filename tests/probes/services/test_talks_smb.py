"""What file servers tell of themselves before anybody logs in, and what of it is believed."""

import struct

import pytest

from probes.kit.services.plan import plan
from probes.kit.services.protocols import msrpc, smb, smb1
from tests.probes.services.talks import converse

WINDOWS, SAMBA = bytes(range(16)), b"OFFICE-PC".ljust(16, b"\0")


def framed(message: bytes) -> bytes:
    """Put the length before a message."""
    return len(message).to_bytes(4, "big") + message


def negotiated(dialect: int, guid: bytes) -> bytes:
    """Make a negotiate response of SMB 2 or 3."""
    return framed(b"\xfeSMB" + bytes(60) + struct.pack("<HHHH", 65, 1, dialect, 0) + guid + bytes(32))


def challenge(major: int, minor: int, build: int) -> bytes:
    """Make a session setup response that holds NTLM's challenge (MS-NLMP 2.2.1.2) of LAB-PC in LAB."""
    names = b"".join(
        struct.pack("<HH", kind, 2 * len(name)) + name.encode("utf-16-le")
        for kind, name in ((2, "LAB"), (1, "LAB-PC"), (4, "lab.example"), (3, "lab-pc.lab.example"), (0, ""))
    )
    head = b"NTLMSSP\0" + struct.pack("<IHHIIQQHHI", 2, 0, 0, 56, 0x02800201, 1, 0, len(names), len(names), 56)
    return framed(b"\xfeSMB" + bytes(60 + 8) + head + struct.pack("<BBHxxxB", major, minor, build, 15) + names)


@pytest.mark.parametrize(
    ("build", "product", "system"),
    [((10, 0, 20348), "Windows RPC", "Windows Server 2022"), ((6, 1, 0), None, None)],
)
def test_an_endpoint_mapper_tells_its_windows_and_its_name(
    build: tuple[int, int, int], product: str | None, system: str | None
) -> None:
    answer = b"\5\0\x0c\3\x10\0\0\0\xff\0\0\0\1\0\0\0" + challenge(*build)
    heard = converse(msrpc.talk("h", 135), [answer])
    assert heard is not None
    assert (heard.service, heard.facts["host.name"]) == ("msrpc", "LAB-PC")
    assert (heard.facts.get("service.product"), heard.facts.get("os.product")) == (product, system)
    assert converse(msrpc.talk("h", 135), [answer[:12] + b"\2" + answer[13:]]) is None


@pytest.mark.parametrize(
    ("dialect", "build", "system"),
    [
        (0x0302, (10, 0, 19045), "Windows 10 22H2"),
        (0x0302, (6, 3, 9600), "Windows 8.1 / Server 2012 R2"),
        (0x0210, (6, 1, 7601), "Windows 7 / Server 2008 R2"),
        (0x0302, (6, 1, 7601), None),
        (0x0302, (6, 1, 0), None),
        (0x0210, (10, 0, 19045), None),
    ],
)
def test_a_build_is_believed_where_its_windows_speaks_that_dialect(
    dialect: int, build: tuple[int, int, int], system: str | None
) -> None:
    heard = converse(smb.talk("h", 445), [negotiated(dialect, WINDOWS), challenge(*build)])
    assert heard is not None
    assert heard.facts.get("os.product") == system
    assert heard.facts.get("os.family") == (system and "Windows")
    assert (heard.facts["host.name"], heard.facts["host.domain"]) == ("LAB-PC", "LAB")
    assert "service.product" not in heard.facts


def test_samba_is_no_windows_whatever_build_it_gives_out() -> None:
    heard = converse(smb.talk("h", 445), [negotiated(0x0302, SAMBA), challenge(10, 0, 19045)])
    assert heard is not None
    assert heard.facts["service.product"] == "Samba"
    assert not any(name.startswith("os.") for name in heard.facts)


def test_a_server_of_version_1_alone_is_asked_in_its_own_words() -> None:
    assert plan(445).index(smb1.talk) == plan(445).index(smb.talk) + 1
    parameters = struct.pack("<HBHHIIIIQHB", 0, 0x0F, 50, 1, 16644, 65536, 0, 0x80F3FD, 0, 0, 8)
    names = "SCHOOL\0OLD-PC\0".encode("utf-16-le")
    answer = framed(
        b"\xffSMB\x72" + bytes(27) + b"\x11" + parameters + struct.pack("<H", 8 + len(names)) + bytes(8) + names
    )
    heard = converse(smb1.talk("h", 445), [answer])
    assert heard is not None
    assert heard.facts == {
        "protocol": "SMB 1.0", "smb1": "accepted", "signing": "required",
        "host.domain": "SCHOOL", "host.name": "OLD-PC",
    }  # fmt: skip
    besides = converse(smb1.besides("h", 445), [answer])
    assert besides is not None
    assert besides.facts == {"smb1": "accepted"}


def test_only_a_server_that_says_no_has_refused_version_1() -> None:
    refusal = framed(b"\xffSMB\x72" + bytes(27) + b"\x01\xff\xff\0\0")
    heard = converse(smb1.besides("h", 445), [refusal])
    assert heard is not None
    assert heard.facts == {"smb1": "refused"}
    assert converse(smb1.besides("h", 445), [b""]) is None
    assert converse(smb1.talk("h", 445), [negotiated(0x0302, WINDOWS)]) is None
