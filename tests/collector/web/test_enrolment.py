"""Enrolment over HTTPS: one token, one agent, and a CA that proves itself by its digest."""

import hashlib
import http.client
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.collector.web.door import SCHOOL, Door
from tests.support.processes import wait_until
from wire.codec import decode, encode
from wire.types import Enrolment, EnrolmentRequest


def _agents(door: Door) -> list[str]:
    return sorted(agent["id"] for agent in door.get("/api/v1/agents")["items"])


def test_the_ca_proves_itself_by_the_digest_in_the_token(shared: Door) -> None:
    _, secret, digest = shared.token().split(".")
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    line = http.client.HTTPSConnection("127.0.0.1", shared.port, timeout=30, context=blind)
    line.request("GET", "/api/v1/ca")
    answer = line.getresponse()
    pem = answer.read().decode("ascii")
    line.close()
    assert answer.headers["Content-Type"] == "application/x-pem-file"
    assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() == digest
    trust = ssl.create_default_context(cadata=pem)
    line = http.client.HTTPSConnection("localhost", shared.port, timeout=30, context=trust)
    line.request(
        "POST",
        "/api/v1/enrol",
        encode(EnrolmentRequest(secret, "gateway", "test")),
        {"Content-Type": "application/json"},
    )
    enrolment = decode(Enrolment, line.getresponse().read())
    line.close()
    assert (enrolment.unit, enrolment.unit_name, enrolment.kind) == (SCHOOL, "兴庆区第一中学", "bearer")
    assert enrolment.agent in _agents(shared)


def test_a_token_is_spent_once(shared: Door) -> None:
    secret = shared.token().split(".")[1]
    assert shared.spend(secret).status == 200
    before = _agents(shared)
    heard = shared.spend(secret)
    assert (heard.status, heard.refusal().code) == (401, "unauthorised")
    assert "spent" in heard.refusal().message
    assert _agents(shared) == before


def test_of_many_at_once_one_gets_the_credential(shared: Door) -> None:
    secret = shared.token().split(".")[1]
    before = _agents(shared)
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(heard.status for heard in pool.map(lambda _: shared.spend(secret), range(8)))
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {401, 429}
    assert len(_agents(shared)) == len(before) + 1


def test_a_token_that_was_tampered_with_is_refused(shared: Door) -> None:
    secret = shared.token().split(".")[1]
    before = _agents(shared)
    for wrong in (secret[:-1] + ("A" if secret[-1] != "A" else "B"), secret.swapcase(), "", "x" * 256):
        assert shared.spend(wrong).status in (401, 429)
    assert _agents(shared) == before
    assert shared.spend(secret).status == 200


def test_an_expired_token_is_refused(shared: Door) -> None:
    secret = shared.token(ttl=1).split(".")[1]
    made = time.time()
    wait_until(lambda: time.time() > made + 1.1, "the token's time is over")
    before = _agents(shared)
    heard = shared.spend(secret)
    assert heard.status == 401
    assert "expired" in heard.refusal().message
    assert _agents(shared) == before


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{}", 400, "schema"),
        (b"nonsense", 400, "JSON"),
        (b'{"schema":"edusec.enrolment/1","token":"x","software":"t"}', 400, "name: is missing"),
        (b'{"schema":"edusec.enrolment/1","token":"' + b"x" * 300 + b'","name":"n","software":"t"}', 400, "token"),
        (b" " * (70 << 10), 413, "larger"),
    ],
)
def test_what_is_no_enrolment_request_is_refused(shared: Door, body: bytes, status: int, says: str) -> None:
    heard = shared.ask("POST", "/api/v1/enrol", body, headers={"Content-Type": "application/json"})
    assert heard.status == status
    assert says in heard.refusal().message


@pytest.mark.parametrize(
    ("wanted", "status", "says"),
    [
        ({"unit": "999999"}, 404, "999999"),
        ({}, 400, "unit"),
        ({"unit": SCHOOL, "ttl_seconds": 0}, 400, "ttl_seconds"),
        ({"unit": SCHOOL, "ttl_seconds": 1e9}, 400, "ttl_seconds"),
        ({"unit": SCHOOL, "ttl": 5}, 400, "ttl"),
        ([], 400, ""),
    ],
)
def test_what_is_no_token_request_is_refused(shared: Door, wanted: object, status: int, says: str) -> None:
    heard = shared.ask("POST", "/api/v1/enrolment-tokens", wanted, token=shared.admin)
    assert heard.status == status
    assert says in heard.refusal().message


def test_no_secret_is_logged(shared: Door) -> None:
    secret = shared.token().split(".")[1]
    shared.spend(secret)
    shared.spend(secret)
    for hidden in (secret, shared.admin, shared.scraper):
        assert hidden not in shared.log
