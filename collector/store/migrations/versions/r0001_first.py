"""The first schema: registry, inventory, measurements, alerts, audit.

Times are seconds since 1970 UTC. `county` is the code of the county (or of the city or province where there is none
below it) that a unit belongs to; it leads every key of a table that grows with the number of schools. The other
tables are reference tables: small, and copied to every server where there are several.
"""

from alembic import op

revision = "0001"
down_revision = None

# SQLite keeps such a table inside its key's tree: half the pages for a row; PostgreSQL has no such word.
PACKED = {"sqlite": "WITHOUT ROWID"}

REFERENCE = (
    """CREATE TABLE unit (
        code TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, parent TEXT REFERENCES unit (code),
        path TEXT NOT NULL UNIQUE, county TEXT NOT NULL, division_code TEXT NOT NULL, added DOUBLE PRECISION NOT NULL
    )""",
    """CREATE TABLE person (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL, unit TEXT REFERENCES unit (code),
        token_hash TEXT NOT NULL UNIQUE, added DOUBLE PRECISION NOT NULL
    )""",
    """CREATE TABLE agent (
        id TEXT PRIMARY KEY, county TEXT NOT NULL, unit TEXT NOT NULL REFERENCES unit (code), name TEXT NOT NULL,
        credential_hash TEXT NOT NULL UNIQUE, enrolled DOUBLE PRECISION NOT NULL, revoked DOUBLE PRECISION
    )""",
    """CREATE TABLE enrolment_token (
        hash TEXT PRIMARY KEY, unit TEXT NOT NULL REFERENCES unit (code), made_by TEXT NOT NULL,
        made DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION NOT NULL, spent DOUBLE PRECISION, agent TEXT
    )""",
    """CREATE TABLE whitelist (
        id TEXT PRIMARY KEY, unit TEXT NOT NULL REFERENCES unit (code), kind TEXT NOT NULL, value TEXT NOT NULL,
        transport TEXT NOT NULL, ports TEXT NOT NULL, owner TEXT NOT NULL, reason TEXT NOT NULL,
        approver TEXT NOT NULL, expires TEXT, added DOUBLE PRECISION NOT NULL, changed DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX whitelist_unit ON whitelist (unit)",
    """CREATE TABLE audit (
        id BIGINT PRIMARY KEY, time DOUBLE PRECISION NOT NULL, person TEXT NOT NULL, action TEXT NOT NULL,
        object TEXT NOT NULL, detail TEXT NOT NULL
    )""",
    "CREATE TABLE mark (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
    "INSERT INTO mark (name, value) VALUES ('health', 0)",
)

BY_COUNTY = (
    """CREATE TABLE agent_state (
        county TEXT NOT NULL, agent TEXT NOT NULL, received DOUBLE PRECISION NOT NULL,
        created DOUBLE PRECISION NOT NULL, software TEXT NOT NULL, sequence BIGINT NOT NULL,
        dropped BIGINT NOT NULL, skew DOUBLE PRECISION NOT NULL, metrics_url TEXT NOT NULL,
        scope TEXT NOT NULL, PRIMARY KEY (county, agent)
    ) {packed}""",
    """CREATE TABLE spool (
        county TEXT NOT NULL, agent TEXT NOT NULL, id TEXT NOT NULL, sequence BIGINT NOT NULL, batch TEXT NOT NULL,
        received DOUBLE PRECISION NOT NULL, PRIMARY KEY (county, agent, id)
    ) {packed}""",
    """CREATE TABLE section (
        county TEXT NOT NULL, id BIGINT NOT NULL, agent TEXT NOT NULL, name TEXT NOT NULL, probe TEXT NOT NULL,
        kind TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, digest TEXT NOT NULL,
        started DOUBLE PRECISION NOT NULL, finished DOUBLE PRECISION NOT NULL, confirmed DOUBLE PRECISION,
        stale_at DOUBLE PRECISION, runs BIGINT NOT NULL, due BIGINT, PRIMARY KEY (county, id),
        UNIQUE (county, agent, name)
    ) {packed}""",
    """CREATE TABLE section_detail (
        county TEXT NOT NULL, section BIGINT NOT NULL, coverage TEXT NOT NULL, covered TEXT NOT NULL,
        skipped TEXT NOT NULL, PRIMARY KEY (county, section)
    ) {packed}""",
    """CREATE TABLE sighting (
        county TEXT NOT NULL, section BIGINT NOT NULL, key TEXT NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL,
        detail TEXT NOT NULL, missed_from BIGINT NOT NULL, first_seen DOUBLE PRECISION NOT NULL,
        confirmed DOUBLE PRECISION NOT NULL, PRIMARY KEY (county, section, key)
    ) {packed}""",
    "CREATE INDEX sighting_subject ON sighting (county, subject)",
    """CREATE TABLE asset (
        county TEXT NOT NULL, id TEXT NOT NULL, unit TEXT NOT NULL, name TEXT NOT NULL, presence TEXT NOT NULL,
        standing TEXT NOT NULL, baseline BOOLEAN NOT NULL, first_seen DOUBLE PRECISION NOT NULL,
        confirmed DOUBLE PRECISION NOT NULL, section BIGINT NOT NULL, merged_into TEXT, PRIMARY KEY (county, id)
    ) {packed}""",
    "CREATE INDEX asset_unit ON asset (county, unit, id)",
    "CREATE INDEX asset_section ON asset (county, section)",
    """CREATE TABLE evidence (
        county TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, asset TEXT NOT NULL,
        section BIGINT NOT NULL, first_seen DOUBLE PRECISION NOT NULL, PRIMARY KEY (county, unit, kind, value)
    ) {packed}""",
    "CREATE INDEX evidence_asset ON evidence (county, asset)",
    """CREATE TABLE service (
        county TEXT NOT NULL, id TEXT NOT NULL, unit TEXT NOT NULL, asset TEXT NOT NULL, address TEXT NOT NULL,
        family INTEGER NOT NULL, transport TEXT NOT NULL, port INTEGER NOT NULL, state TEXT NOT NULL,
        standing TEXT NOT NULL, product TEXT, baseline BOOLEAN NOT NULL,
        first_seen DOUBLE PRECISION NOT NULL, confirmed DOUBLE PRECISION NOT NULL, changed DOUBLE PRECISION NOT NULL,
        section BIGINT NOT NULL, PRIMARY KEY (county, id), UNIQUE (county, asset, transport, port, address)
    ) {packed}""",
    "CREATE INDEX service_unit ON service (county, unit, id)",
    "CREATE INDEX service_section ON service (county, section)",
    "CREATE INDEX service_port ON service (county, port, transport)",
    """CREATE TABLE site (
        county TEXT NOT NULL, id TEXT NOT NULL, unit TEXT NOT NULL, name TEXT NOT NULL, outcome TEXT NOT NULL,
        aaaa BOOLEAN, ipv4 TEXT NOT NULL, ipv6 TEXT NOT NULL, standing TEXT NOT NULL, baseline BOOLEAN NOT NULL,
        first_seen DOUBLE PRECISION NOT NULL, confirmed DOUBLE PRECISION NOT NULL, section BIGINT NOT NULL,
        PRIMARY KEY (county, id), UNIQUE (county, unit, name)
    ) {packed}""",
    """CREATE TABLE change (
        county TEXT NOT NULL, subject TEXT NOT NULL, time DOUBLE PRECISION NOT NULL, id TEXT NOT NULL,
        unit TEXT NOT NULL, what TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, section BIGINT,
        PRIMARY KEY (county, subject, time, id)
    ) {packed}""",
    "CREATE INDEX change_time ON change (county, time)",
    """CREATE TABLE measurement (
        county TEXT NOT NULL, unit TEXT NOT NULL, probe TEXT NOT NULL, time DOUBLE PRECISION NOT NULL,
        agent TEXT NOT NULL, section TEXT NOT NULL, id TEXT NOT NULL, samples TEXT NOT NULL,
        PRIMARY KEY (county, unit, probe, time, id)
    ) {packed}""",
    """CREATE TABLE alert (
        county TEXT NOT NULL, id TEXT NOT NULL, unit TEXT NOT NULL, rule TEXT NOT NULL, kind TEXT NOT NULL,
        subject TEXT NOT NULL, label TEXT NOT NULL, state TEXT NOT NULL, colour TEXT NOT NULL, severity TEXT NOT NULL,
        clause TEXT NOT NULL, baseline BOOLEAN NOT NULL, evidence TEXT NOT NULL, first_seen DOUBLE PRECISION NOT NULL,
        last_seen DOUBLE PRECISION NOT NULL, due DOUBLE PRECISION, resolved DOUBLE PRECISION, resolved_by TEXT,
        cleared BOOLEAN NOT NULL, acknowledged DOUBLE PRECISION, acknowledged_by TEXT, note TEXT NOT NULL,
        previous TEXT, PRIMARY KEY (county, id)
    ) {packed}""",
    """CREATE UNIQUE INDEX alert_open ON alert (county, kind, subject, rule)
        WHERE state IN ('pending', 'firing', 'acknowledged')""",
    "CREATE INDEX alert_subject ON alert (county, kind, subject, rule, first_seen)",
    "CREATE INDEX alert_state ON alert (state, colour)",
    "CREATE INDEX alert_resolved ON alert (resolved) WHERE state = 'resolved'",
    "CREATE INDEX alert_due ON alert (due) WHERE due IS NOT NULL",
    """CREATE TABLE baseline_match (
        county TEXT NOT NULL, unit TEXT NOT NULL, rule TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
        label TEXT NOT NULL, severity TEXT NOT NULL, colour TEXT NOT NULL, clause TEXT NOT NULL,
        first_seen DOUBLE PRECISION NOT NULL, PRIMARY KEY (county, unit, kind, subject, rule)
    ) {packed}""",
    """CREATE TABLE dirty_unit (
        county TEXT NOT NULL, unit TEXT NOT NULL, stamp TEXT NOT NULL, PRIMARY KEY (county, unit)
    ) {packed}""",
)


def upgrade() -> None:
    """Make every table."""
    packed = PACKED.get(op.get_context().dialect.name, "")
    for statement in (*REFERENCE, *BY_COUNTY):
        op.execute(statement.replace("{packed}", packed))
