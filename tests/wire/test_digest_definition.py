"""The digest is defined by the plain form of the messages; the fast way to it gives the same."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from tests.wire import messages as m
from wire.codec import to_plain
from wire.digest import section_digest
from wire.types import Body, RunStatus


def _defined(probe: str, status: RunStatus, reason: str, body: Body) -> str:
    def canonical(plain: object) -> str:
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)

    plain = to_plain(body)
    for observation in plain.get("observations", ()):
        observation.pop("time", None)
        observation.pop("duration", None)
    lists = (sorted(map(canonical, plain.get(key, ()))) for key in ("observations", "coverage", "skipped", "silent"))
    return hashlib.sha256(canonical([probe, status.value, reason, *lists]).encode()).hexdigest()


@given(m.messages(Body), st.text(max_size=20), st.sampled_from(RunStatus))
def test_the_digest_is_that_of_the_plain_form(body: Body, probe: str, status: RunStatus) -> None:
    assert section_digest(probe, status, probe, body) == _defined(probe, status, probe, body)
