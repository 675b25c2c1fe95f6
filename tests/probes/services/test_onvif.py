"""ONVIF over TCP, against a server process that speaks the specification's exchange, and some that mean harm."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.scope.model import Scope
from probes.kit.sending.connection import PRINTER_PORTS
from probes.kit.sending.net import Net
from probes.kit.services import plan as plans
from probes.kit.services.drive import Drive
from probes.kit.services.enrich import values_of
from probes.kit.services.protocols import onvif
from probes.kit.services.talk import Heard
from tests.support.processes import Processes, Running
from wire.types import Value

SERVER = Path(__file__).with_name("onvif_server.py")
HOSTILE = ("entities", "packed", "filler", "escape", "echo", "endless")


@pytest.fixture
def cameras(process: Processes) -> Callable[..., tuple[Running, dict[str, int]]]:
    """`cameras(MODE...)`: the server's process, and its port for each mode."""

    def start(*modes: str) -> tuple[Running, dict[str, int]]:
        running = process([sys.executable, SERVER, *modes], ready=r"\}\n")
        return running, json.loads(running.stdout.splitlines()[0])

    return start


def look(ports: dict[str, int]) -> dict[str, dict[str, Value]]:
    """Identify the ports; what an observation would say, by mode."""
    known = by_key(built_in())
    names = {port: mode for mode, port in ports.items()}
    results = Drive(Net(Scope())).run([("127.0.0.1", port) for port in names], time.monotonic() + 60)
    return {names[item.port]: values_of(item.heard, known) if item.heard else {} for item in results}


def test_maker_model_and_firmware_come_without_a_password_or_the_refusal_tells(
    cameras: Callable[..., tuple[Running, dict[str, int]]],
) -> None:
    running, ports = cameras("open", "password", "bare", "none")
    said = look(ports)
    assert said["open"].items() >= {
        "service": "http", "onvif": "open", "vendor": "HIKVISION", "product": "DS-2CD3T46 & more",
        "version": "V5.6.3 build 190923", "model": "DS-2CD3T46 & more", "firmware": "V5.6.3 build 190923",
        "device": "HIKVISION DS-2CD3T46 & more camera or recorder", "http.title": "web", "confidence": 0.95,
    }.items()  # fmt: skip
    evidence = said["open"]["evidence"]
    assert isinstance(evidence, tuple)
    assert "protocol" in evidence
    assert said["password"].items() >= {"onvif": "password", "confidence": 0.95, "http.status": "200"}.items()
    assert str(said["password"]["device"]).endswith("camera or recorder")
    assert "firmware" not in said["password"]
    # A 401 in no words of ONVIF's, and a server that is no camera's: nothing is claimed.
    assert "onvif" not in said["bare"]
    assert "onvif" not in said["none"]
    asked = Counter(line.split()[0] for line in running.stdout.splitlines() if " POST /onvif/device_service" in line)
    assert asked == {"open": 1, "password": 1, "bare": 1}


def test_a_port_for_onvif_alone_is_asked_at_once(
    cameras: Callable[..., tuple[Running, dict[str, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, ports = cameras("open", "bare")
    for port in ports.values():
        monkeypatch.setitem(plans.OWN, port, onvif.talk)
    monkeypatch.setattr(onvif, "PORTS", frozenset(ports.values()))
    said = look(ports)
    assert said["open"]["firmware"] == "V5.6.3 build 190923"
    assert said["bare"]["http.title"] == "web"
    assert Counter(line for line in running.stdout.splitlines()[1:] if " POST " in line) == {
        "open POST /onvif/device_service": 1,
        "bare POST /onvif/device_service": 1,
    }


def test_answers_that_mean_harm_say_nothing_or_something_short(
    cameras: Callable[..., tuple[Running, dict[str, int]]],
) -> None:
    _, ports = cameras(*HOSTILE)
    said = look(ports)
    assert set(said) == set(HOSTILE)
    for mode in HOSTILE:
        assert said[mode]["http.title"] == "web", mode
        for value in said[mode].values():
            for text in value if isinstance(value, tuple) else (value,):
                assert not isinstance(text, str) or (text.isprintable() and len(text) <= 800)
    for mode in ("entities", "filler", "echo", "endless"):
        assert "onvif" not in said[mode], mode
    # Packed without having been asked for: its first 64 KiB are read, the rest is never made.
    assert said["packed"]["model"] == "DS-2CD3T46 & more"
    assert str(said["escape"]["vendor"]).startswith("[2J]0;xMMM")


def test_printers_are_never_asked() -> None:
    assert not PRINTER_PORTS.intersection(onvif.PORTS)
    assert all(plans.plan(port) == () for port in PRINTER_PORTS)


@pytest.mark.parametrize(
    ("heard", "worth"),
    [
        (Heard("http", {"http.title": "网络摄像机"}), True),
        (Heard("https", {"realm": "IP Camera(C1234)"}), True),
        (Heard("http", {}, (("http_header.server", "gSOAP/2.8"),)), True),
        (Heard("http", {}, (("http_header.wwwauth", 'Digest realm="DS-2CD1221D"'),)), True),
        (Heard("http", {"http.title": "教务系统"}, (("http_header.server", "nginx/1.22.1"),)), False),
        (Heard("http", {"http.title": "Printer"}, (("http_header.server", "HP HTTP Server"),)), False),
        (Heard("ssh", {"http.title": "camera"}), False),
        (Heard("http", {"http.title": "camera", "onvif": "open"}), False),
    ],
)
def test_only_a_hint_makes_a_server_worth_the_question(heard: Heard, worth: bool) -> None:
    assert (onvif.worth(heard, 80) is not None) is worth
