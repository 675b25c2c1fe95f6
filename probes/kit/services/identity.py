"""From what a service said to who it is: the protocol's own word first, fingerprints next, each with its confidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from probes.kit.fingerprint.bounded import Patience
from probes.kit.fingerprint.match import identify
from probes.kit.fingerprint.model import Fingerprint
from probes.kit.services.talk import Heard

SURE = 0.95
"""Confidence in what a protocol's own field says, such as the version in MySQL's first packet."""
_OF_PAGES = frozenset(
    {
        "html_title", "html_generator", "http_body", "http_header", "http_header.cookie", "http_header.x-powered-by",
        "http_icon", "http_maker",
    }
)  # fmt: skip
"""Answers that tell of the application behind a web server."""
PROTOCOL_ONLY = 0.7
"""Confidence when a service spoke a protocol and said nothing more."""


@dataclass(frozen=True, slots=True)
class ServiceIdentity:
    """Who answers at a port. `confidence` is from 0 to 1; empty texts are what is not known."""

    service: str
    product: str = ""
    version: str = ""
    vendor: str = ""
    cpe: str = ""
    device: str = ""
    system: str = ""
    application: str = ""
    confidence: float = 0.0
    evidence: tuple[str, ...] = ()


def clean(evidence: str) -> str:
    """Make what matched fit to be shown: at most 128 printable characters."""
    return "".join(char for char in evidence[:128] if char.isprintable())


def of(
    heard: Heard, fingerprints: Mapping[str, Sequence[Fingerprint]], patience: Patience | None = None
) -> ServiceIdentity:
    """Join the facts of a conversation with the best fingerprint of each of its answers.

    Sources are asked in the order of their confidence; a later one fills what is missing and never contradicts product
    and version, which always come from one source together. `patience` is the host's, see `fingerprint.bounded`.
    """
    tells = any(name in heard.facts for name in ("service.product", "hw.vendor", "hw.device", "os.product"))
    found = [(SURE, dict(heard.facts), "protocol")] if tells else []
    pages: list[tuple[float, dict[str, str]]] = []
    for key, answer in heard.answers:
        match = identify(fingerprints.get(key, ()), answer, patience)
        if match is not None:
            found.append((match.certainty, dict(match.says), f"{key}: {clean(match.evidence)}"))
            if key in _OF_PAGES and "service.product" in match.says:
                pages.append((match.certainty, dict(match.says)))
    found.sort(key=lambda item: -item[0])
    if not found:
        return ServiceIdentity(heard.service, confidence=0.0 if heard.service == "unknown" else PROTOCOL_ONLY)
    product = next((says for _, says, _ in found if says.get("service.product")), {})
    confidence = found[0][0]
    page = max(pages, key=lambda item: item[0], default=(0.0, {}))[1]
    if page.get("service.product", "") == product.get("service.product"):
        page = {}

    def first(*names: str) -> str:
        return next((says[name] for _, says, _ in found for name in names if says.get(name)), "")

    return ServiceIdentity(
        service=product.get("service.name") or heard.service,
        product=product.get("service.product", ""),
        version=product.get("service.version", ""),
        vendor=product.get("service.vendor", ""),
        cpe=product.get("service.cpe23", ""),
        device=" ".join(part for part in (first("hw.vendor"), first("hw.product"), first("hw.device")) if part),
        system=" ".join(part for part in (first("os.product", "os.family"), first("os.version")) if part),
        application=" ".join(
            page[name] for name in ("service.vendor", "service.product", "service.version") if page.get(name)
        ),
        confidence=confidence,
        evidence=tuple(source for _, _, source in found),
    )
