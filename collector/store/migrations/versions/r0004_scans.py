"""Scans that people ask for: the scan, its order for each agent, and what came of each.

`message` is the order as it travels (JSON of the wire type); `section` the result, zlib and base64 of the same.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

PACKED = {"sqlite": "WITHOUT ROWID"}

BY_COUNTY = (
    """CREATE TABLE scan (
        county TEXT NOT NULL, id TEXT NOT NULL, unit TEXT NOT NULL, probe TEXT NOT NULL, person TEXT NOT NULL,
        asked_by TEXT NOT NULL, request TEXT NOT NULL, digest TEXT NOT NULL, reason TEXT NOT NULL,
        created DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION NOT NULL, PRIMARY KEY (county, id),
        UNIQUE (county, person, request)
    ) {packed}""",
    "CREATE INDEX scan_unit ON scan (county, unit, id)",
    """CREATE TABLE scan_order (
        county TEXT NOT NULL, id TEXT NOT NULL, scan TEXT NOT NULL, agent TEXT NOT NULL, state TEXT NOT NULL,
        message TEXT NOT NULL, changed DOUBLE PRECISION NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
        observations BIGINT NOT NULL, started DOUBLE PRECISION, finished DOUBLE PRECISION, PRIMARY KEY (county, id)
    ) {packed}""",
    "CREATE INDEX scan_order_scan ON scan_order (county, scan)",
    """CREATE INDEX scan_order_open ON scan_order (state)
        WHERE state NOT IN ('cancelled', 'expired', 'ended', 'lost')""",
    """CREATE TABLE scan_result (
        county TEXT NOT NULL, scan_order TEXT NOT NULL, section TEXT NOT NULL, PRIMARY KEY (county, scan_order)
    ) {packed}""",
)


def upgrade() -> None:
    """Make the tables."""
    packed = PACKED.get(op.get_context().dialect.name, "")
    for statement in BY_COUNTY:
        op.execute(statement.replace("{packed}", packed))
