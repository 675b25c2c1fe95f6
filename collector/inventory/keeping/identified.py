"""What a service said of itself, as far as the sections that asked it still vouch for it, and its certificate's end."""

from collections.abc import Callable, Mapping
from datetime import date

from collector.memory.sections import Sections
from collector.sightings.picture import values_of
from collector.store.contract import Statements
from rules.heard import last_day
from wire.types import Value


def identified(
    statements: Statements, sections: Sections, counts: Callable[[int], bool], county: str, ident: str
) -> Mapping[str, Value]:
    """Give what a service said to the section that asked it last; empty where none did whose word `counts`.

    All of it comes from one section: the password that one asked for says nothing of the certificate that another saw.
    """
    said: Mapping[str, Value] = {}
    latest = -1.0
    for detail, number in statements.rows(
        "SELECT detail, section FROM sighting WHERE county = ? AND subject = ? AND state = 'open' "
        "AND missed_from = 0 AND detail <> ''",
        (county, ident),
    ):
        section = sections.by_id(number)
        confirmed = (section and section.confirmed) or 0.0
        if confirmed > latest and counts(number):
            values = values_of(detail)
            if "service" in values:
                said, latest = values, confirmed
    return said


def gave_up_login(before: str, after: str) -> bool:
    """Tell whether a service that asked for a login lets anybody in now, which is news even at an old service."""
    return (
        '"authentication"' in before
        and values_of(before).get("authentication") == "required"
        and values_of(after).get("authentication") == "none"
    )


def note_certificate(
    statements: Statements, county: str, ident: str, said: Mapping[str, Value], known: int | None
) -> None:
    """Note on which day the certificate expires, so that it is judged when that day nears; `known` is what is noted."""
    last = last_day(said)
    if last is not None and last.toordinal() != known:
        statements.run(
            "UPDATE service SET cert_until = ? WHERE county = ? AND id = ?", (last.toordinal(), county, ident)
        )


def expired_then(said: Mapping[str, Value], then: date) -> bool | None:
    """Tell whether the certificate had expired on a day; None where none was read."""
    last = last_day(said)
    return None if last is None else last < then
