"""Descriptions of devices: asked for only where that is safe, understood, and bounded whatever the other side does."""

import contextlib
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as some

from probes.kit.discovery import ssdp, wsd
from probes.kit.discovery.descriptions import MOST_OF_ONE, PORTS, Announced, Page, fetch, pages_of
from probes.kit.discovery.told import MAX_WORD, MOST_WORDS, Told
from probes.kit.scope.model import Scope
from probes.kit.sending.connection import PRINTER_PORTS
from probes.kit.sending.net import Net
from probes.kit.sending.pacing import QuietHours
from tests.probes.rig import entry, net_of
from tests.probes.servers import tcp_server
from wire.ports import expand, parse_ports

ROOT, INNER = "7658eed2-4779-469f-8f16-fc8a3f708b64", "7658eed2-4779-469f-8f16-fc8a3f708b65"
ENDPOINT = f"urn:uuid:{ROOT}"
SENDER = IPv4Address("198.18.1.3")


def description(extra: str = "", head: str = "", serial: str = "SN-4711") -> bytes:
    return (
        f'<?xml version="1.0"?>{head}<root xmlns="urn:schemas-upnp-org:device-1-0"><device>'
        "<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>"
        "<friendlyName>Gate\x7f East</friendlyName><manufacturer>Acme</manufacturer><modelName>Gate 7</modelName>"
        f"<serialNumber>{serial}</serialNumber><UDN>uuid:{ROOT}</UDN><softwareVersion>1.4</softwareVersion>"
        "<deviceList><device><friendlyName>Inner</friendlyName><manufacturer>Other</manufacturer>"
        f"<UDN>uuid:{INNER}</UDN></device></deviceList>{extra}</device></root>"
    ).encode()


def metadata(said: str) -> bytes:
    return (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:x="x" xmlns:p="p"><s:Body><x:Metadata>'
        f"<x:MetadataSection>{said}</x:MetadataSection></x:Metadata></s:Body></s:Envelope>"
    ).encode()


PRINTER = (
    "<p:ThisModel><p:Manufacturer>Acme</p:Manufacturer><p:ModelName>Laser 9</p:ModelName></p:ThisModel><p:ThisDevice>"
    "<p:FriendlyName>Room 3</p:FriendlyName><p:FirmwareVersion>2.1</p:FirmwareVersion>"
    "<p:SerialNumber>L9-0815</p:SerialNumber></p:ThisDevice><p:Types>p:PrintDeviceType</p:Types>"
)


def test_a_description_tells_maker_model_serial_number_and_all_uuids() -> None:
    told = ssdp.read_description(description())
    assert told is not None
    assert (told.vendor, told.model, told.serial, told.firmware) == ("Acme", "Gate 7", "SN-4711", "1.4")
    assert (told.names, told.device) == (("Gate East",), "router")
    assert told.uuids == (f"uuid:{ROOT}", f"uuid:{INNER}")


def test_metadata_of_a_device_and_of_a_computer() -> None:
    told = wsd.read_metadata(metadata(PRINTER))
    assert told is not None
    assert (told.vendor, told.model, told.serial, told.firmware) == ("Acme", "Laser 9", "L9-0815", "2.1")
    assert (told.names, told.device) == (("Room 3",), "printer")
    # Of a computer they describe the program that answers, which is the same everywhere.
    told = wsd.read_metadata(metadata(PRINTER + "<p:Computer>PC-12/Workgroup:SCHOOL</p:Computer>"))
    assert told == Told("description", hosts=("PC-12",), device="computer", workgroup="SCHOOL")
    assert wsd.read_metadata(metadata("<p:Types>p:PrintDeviceType</p:Types>")) is None


BOMB = "<!DOCTYPE r [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]>"


@pytest.mark.parametrize(
    "raw",
    [
        description(head=BOMB, extra="<x>&b;</x>"),
        description(head='<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]>', serial="&f;"),
        description(extra="<x>" * 40 + "</x>" * 40),
        description(extra="<x/>" * 3000),
        description(extra="<x>" + "a" * 70_000 + "</x>"),
        description()[:-5],
        description().replace(b"device>", b"thing>"),
        b"",
        b"\0" * 100,
    ],
)
def test_hostile_descriptions_are_nothing(raw: bytes) -> None:
    assert ssdp.read_description(raw) is None
    assert wsd.read_metadata(raw) is None


@given(some.text(max_size=300))
def test_whatever_a_description_says_is_short_and_printable(text: str) -> None:
    for told in (
        ssdp.read_description(description(extra=text, serial=text)),
        ssdp.read_description(text.encode()),
        wsd.read_metadata(metadata(f"<p:ModelName>{text}</p:ModelName>")),
    ):
        if told is not None:
            words = (*told.names, *told.uuids, told.vendor, told.model, told.serial, told.firmware)
            assert len(words) <= 2 * MOST_WORDS + 4
            assert all(len(word) <= MAX_WORD and word.isprintable() for word in words)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://198.18.1.3:8200/rootDesc.xml", (8200, "/rootDesc.xml")),
        ("http://198.18.1.3", (80, "/")),
        ("HTTP://198.18.1.3:1900/uuid:1/d.xml", (1900, "/uuid:1/d.xml")),
        (f"http://198.18.1.3:2869/udhisapi.dll?content=uuid:{ROOT}", (2869, f"/udhisapi.dll?content=uuid:{ROOT}")),
        ("http://198.18.1.4:8200/rootDesc.xml", None),  # another host
        ("http://198.18.1.3.example:8200/", None),
        ("http://school.example/", None),
        ("http://user@198.18.1.3/", None),
        ("https://198.18.1.3/", None),
        ("ftp://198.18.1.3/", None),
        ("http://198.18.1.3:25/", None),
        ("http://198.18.1.3:0/", None),
        ("http://198.18.1.3:9100/", None),  # a printer would print it
        ("http://198.18.1.3:65536/", None),
        ("http://198.18.1.3/reboot?now=1", None),
        ("http://198.18.1.3/../etc/passwd", None),
        ("http://198.18.1.3/a\r\nX: y", None),
        ("http://198.18.1.3/" + "a" * 300, None),
        ("http://3323068675/", None),  # the same host, as some programs read it
        ("http://[::ffff:198.18.1.3]/", None),
        ("", None),
    ],
)
def test_only_a_plain_page_of_the_sender_itself_is_asked_for(location: str, expected: tuple[int, str] | None) -> None:
    found = [(page.port, page.path) for page in pages_of(SENDER, Told("ssdp", locations=(location,)))]
    assert found == ([expected] if expected else [])


def test_a_link_local_sender_is_asked_on_its_link() -> None:
    sender = IPv6Address("fe80::3%eth0")
    told = Told("wsd", uuids=(ENDPOINT,), locations=("http://[fe80::3]:5357/x", "http://[fe80::4]:5357/x"))
    assert list(pages_of(sender, told)) == [Page(sender, 5357, "/x", "wsd", ENDPOINT)]
    assert list(pages_of(sender, Told("wsd", uuids=("nobody",), locations=("http://[fe80::3]:5357/x",)))) == []
    assert list(pages_of(sender, Told("mdns", locations=("http://[fe80::3]:5357/x",)))) == []


def test_ports_out_of_scope_and_printers_ports_are_not_asked_and_of_one_host_a_few_pages_only() -> None:
    announced = Announced(net_of(entry(str(SENDER), "9000-9200")))
    for port in (8200, 9107):
        announced.note(SENDER, Told("ssdp", locations=(f"http://{SENDER}:{port}/",)))
    assert announced.pages == {}
    for number in range(20):
        announced.note(SENDER, Told("ssdp", locations=(f"http://{SENDER}:9000/{number}",)))
    announced.note(IPv4Address("198.18.1.4"), Told("ssdp", locations=("http://198.18.1.4:9000/",)))
    assert [page.path for page in announced.pages] == [f"/{number}" for number in range(MOST_OF_ONE)]


def test_no_page_is_at_a_printers_port() -> None:
    assert not PRINTER_PORTS & set(expand(parse_ports(PORTS)))


def answer(raw: bytes) -> Callable[[socket.socket], None]:
    def talk(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(raw)

    return talk


def drip(line: socket.socket) -> None:
    line.recv(4096)
    with contextlib.suppress(OSError):
        while True:
            line.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            time.sleep(0.05)


def flood(line: socket.socket) -> None:
    line.recv(4096)
    line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    with contextlib.suppress(OSError):
        while True:
            line.sendall(b"<root>" * 10_000)


def test_whatever_servers_do_it_ends_and_the_good_one_is_understood() -> None:
    here = ip_address("127.0.0.1")
    asked: list[str] = []
    with ExitStack() as servers:
        victim = servers.enter_context(tcp_server(lambda line: asked.append(line.recv(99).decode())))
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{victim}/\r\nContent-Length: 0\r\n\r\n".encode()
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(description()) + description()
        missing = whole.replace(b"200 OK", b"404 no")
        wild = [drip, flood, answer(moved), answer(missing), answer(b"\0" * 99), answer(b""), answer(whole)]
        ports = [servers.enter_context(tcp_server(talk)) for talk in wild]
        pages = [Page(here, port, "/d.xml", "ssdp") for port in ports]
        said = list(fetch(Net(Scope(())), pages, time.monotonic() + 60))
    assert len(said) == len(pages)
    good = [item for item in said if item is not None]
    assert good == [(here, ssdp.read_description(description()))]
    assert asked == []  # nobody follows a redirect


def test_quiet_hours_are_kept() -> None:
    now = datetime.now().astimezone().replace(hour=13, minute=5).timestamp()
    net = net_of("198.18.0.0/15", quiet=(QuietHours.parse("13:00-14:00"),), clock=lambda: now)
    found = list(fetch(net, [Page(SENDER, 8200, "/", "ssdp")], time.monotonic() + 5))
    assert [str(item) for item in found] == [f"{SENDER} port 8200: quiet_hours: 13:00-14:00"]
    assert net.sent == 0
