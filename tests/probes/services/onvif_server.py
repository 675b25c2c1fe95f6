"""A camera's web server for tests, as a process: `onvif_server.py MODE...`, each on a port of its own on loopback.

It speaks the exchange of ONVIF's Core Specification (SOAP 1.2 over HTTP, the Device Management service). The first line
of output is a JSON object from mode to port; each request adds a line `MODE METHOD PATH`. Some modes mean harm.
"""

import contextlib
import gzip
import json
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.etree import ElementTree as ET

from defusedxml.ElementTree import fromstring

SOAP, DEVICE = "http://www.w3.org/2003/05/soap-envelope", "http://www.onvif.org/ver10/device/wsdl"
ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n{before}<env:Envelope xmlns:env="' + SOAP + '" xmlns:tds="' + DEVICE + '" '
    'xmlns:ter="http://www.onvif.org/ver10/error"><env:Body>{inside}</env:Body></env:Envelope>'
)
INFORMATION = (
    "<tds:GetDeviceInformationResponse><tds:Manufacturer>{maker}</tds:Manufacturer><tds:Model>DS-2CD3T46 &amp; more"
    "</tds:Model><tds:FirmwareVersion>V5.6.3 build 190923</tds:FirmwareVersion><tds:SerialNumber>S1</tds:SerialNumber>"
    "<tds:HardwareId>88</tds:HardwareId></tds:GetDeviceInformationResponse>"
)
REFUSAL = (
    "<env:Fault><env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>ter:NotAuthorized</env:Value>"
    '</env:Subcode></env:Code><env:Reason><env:Text xml:lang="en">Sender not Authorized</env:Text></env:Reason>'
    "</env:Fault>"
)
ENTITIES = '<!DOCTYPE x [<!ENTITY a "A">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12)
)
BOMB = gzip.compress(ENVELOPE.format(before="", inside=INFORMATION).encode() + b" " * (64 << 20))
FILLER = gzip.compress(b" " * (64 << 20))


class Camera(BaseHTTPRequestHandler):
    """One mode's answers."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "App-webs/", ""

    def __init__(self, mode: str, *rest: Any) -> None:
        """See BaseHTTPRequestHandler, which serves from within."""
        self.mode = mode
        super().__init__(*rest)

    def version_string(self) -> str:
        """Say the camera's Server field; a web server that is none says another."""
        return "nginx" if self.mode == "none" else "App-webs/"

    def log_request(self, *_: object) -> None:
        """Leave the lines of output to `_note`."""

    def _note(self) -> None:
        # One call writes the whole line: threads of several servers share this output.
        sys.stdout.write(f"{self.mode} {self.command} {self.path}\n")
        sys.stdout.flush()

    def do_GET(self) -> None:
        """Give a start page; there is no icon."""
        self._note()
        found = self.path == "/"
        self._say(200 if found else 404, b"<title>web</title>" if found else b"", "text/html")

    def do_POST(self) -> None:
        """Answer the device service as the mode has it."""
        self._note()
        asked = fromstring(self.rfile.read(int(self.headers["Content-Length"])))
        body = asked.find(f"{{{SOAP}}}Body")
        known = self.path == "/onvif/device_service" and self.headers["Content-Type"].startswith("application/soap+xml")
        if not known or body is None or [item.tag for item in body] != [f"{{{DEVICE}}}GetDeviceInformation"]:
            self._say(400, b"not as the specification has it")
            return
        answer = partial(ENVELOPE.format, before="")
        match self.mode:
            case "open" | "none":
                self._say(200, answer(inside=INFORMATION.format(maker="HIKVISION")).encode())
            case "password":
                self._say(400, answer(inside=REFUSAL).encode())
            case "bare":
                self._say(401, b"", more=(("WWW-Authenticate", 'Digest realm="x", nonce="1"'),))
            case "entities":
                text = ENVELOPE.format(before=ENTITIES + "]>", inside=INFORMATION.format(maker="&m;"))
                self._say(200, text.encode())
            case "packed":
                self._say(200, BOMB, more=(("Content-Encoding", "gzip"),))
            case "filler":
                self._say(200, FILLER, more=(("Content-Encoding", "gzip"),))
            case "escape":
                self._say(200, answer(inside=INFORMATION.format(maker="&#27;[2J\x1b]0;x&#x202e;" + "M" * 300)).encode())
            case "echo":
                self._say(200, ET.tostring(asked))
            case "endless":
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while True:
                        self.wfile.write(b"<tds:Manufacturer>" * 1000)
                self.close_connection = True

    def _say(
        self, status: int, body: bytes, kind: str = "application/soap+xml", more: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *more):
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)


def main() -> None:
    """Serve until ended."""
    servers = {mode: ThreadingHTTPServer(("127.0.0.1", 0), partial(Camera, mode)) for mode in sys.argv[1:]}
    print(json.dumps({mode: server.server_address[1] for mode, server in servers.items()}), flush=True)
    for server in servers.values():
        threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
