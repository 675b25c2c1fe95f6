"""The tables as SQLAlchemy Core sees them, for queries; the migrations are what makes them."""

from sqlalchemy import ColumnElement, TableClause, column, table, true


def _table(name: str, columns: str) -> TableClause:
    return table(name, *(column(part) for part in columns.split()))


unit = _table("unit", "code name kind parent path county division_code added")
person = _table("person", "id name role unit token_hash added")
agent = _table("agent", "id county unit name credential_hash enrolled revoked scrape vantage")
enrolment_token = _table("enrolment_token", "hash unit made_by made expires spent agent vantage")
whitelist = _table("whitelist", "id unit kind value transport ports owner reason approver expires added changed")
agent_state = _table(
    "agent_state", "county agent received created software sequence dropped skew metrics_url scope source"
)
spool = _table("spool", "county agent id sequence batch received")
section = _table(
    "section",
    "county id agent name probe kind status reason digest started finished confirmed stale_at runs due held",
)
section_detail = _table("section_detail", "county section coverage covered skipped")
sighting = _table("sighting", "county section key subject state detail missed_from first_seen confirmed")
asset = _table("asset", "county id unit name presence standing baseline first_seen confirmed section merged_into")
evidence = _table("evidence", "county unit kind value asset section first_seen")
joined = _table("joined", "county id unit old new time person score why evidence first_seen baseline undone")
apart = _table("apart", "county one other time person")
service = _table(
    "service",
    "county id unit asset address family transport port state standing product baseline first_seen "
    "confirmed changed section cert_until exposure exposed_by",
)
site = _table("site", "county id unit name outcome aaaa ipv4 ipv6 standing baseline first_seen confirmed section")
change = _table("change", "county subject time id unit what before after section")
measurement = _table("measurement", "county unit probe time agent section id samples")
alert = _table(
    "alert",
    "county id unit rule kind subject label state colour severity clause baseline evidence first_seen last_seen due "
    "resolved resolved_by cleared acknowledged acknowledged_by note previous",
)
registered = _table("registered", "county id unit kind key address name system mlps_level owner source added changed")
ipv6_result = _table("ipv6_result", "county section kind key unit checks pending taken")
ipv6_level = _table("ipv6_level", "county unit kind key confirmed possible held verdicts since")
ipv6_history = _table("ipv6_history", "county unit kind key time id confirmed possible")
ipv6_week = _table("ipv6_week", "county unit week metric passed total unknown")
ipv6_day = _table("ipv6_day", "county unit day v4 v6 confidence")
scan = _table("scan", "county id unit probe person asked_by request digest reason created expires")
scan_order = _table(
    "scan_order", "county id scan agent state message changed status reason observations started finished"
)
scan_result = _table("scan_result", "county scan_order section")


def under(path: str) -> ColumnElement[bool]:
    """Select the units of a subtree by the path of its root; an empty path is the whole tree.

    A range instead of LIKE, so that the index on the path is used: "0" follows "/".
    """
    if not path:
        return true()
    return (unit.c.path >= path) & (unit.c.path < f"{path[:-1]}0")
