"""The register of websites, systems and networks, and how far each of them has come with IPv6."""

from alembic import op

revision = "0002"
down_revision = "0001"

# As in the first schema: SQLite keeps such a table inside its key's tree, PostgreSQL has no such word.
PACKED = {"sqlite": "WITHOUT ROWID"}

BY_COUNTY = (
    """CREATE TABLE registered (
        county TEXT NOT NULL, id TEXT NOT NULL, unit TEXT NOT NULL REFERENCES unit (code), kind TEXT NOT NULL,
        key TEXT NOT NULL, address TEXT NOT NULL, name TEXT NOT NULL, system TEXT NOT NULL, mlps_level INTEGER,
        owner TEXT NOT NULL, source TEXT NOT NULL, added DOUBLE PRECISION NOT NULL,
        changed DOUBLE PRECISION NOT NULL, PRIMARY KEY (county, id), UNIQUE (county, unit, kind, key)
    ) {packed}""",
    # `checks`: by check id what stands, the newest result and how often it came in a row; `pending`: checks that wait.
    """CREATE TABLE ipv6_result (
        county TEXT NOT NULL, section BIGINT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, unit TEXT NOT NULL,
        checks TEXT NOT NULL, pending INTEGER NOT NULL, taken DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (county, section, kind, key)
    ) {packed}""",
    "CREATE INDEX ipv6_result_key ON ipv6_result (county, kind, key)",
    "CREATE INDEX ipv6_result_unit ON ipv6_result (county, unit, kind)",
    "CREATE INDEX ipv6_result_pending ON ipv6_result (county, section) WHERE pending > 0",
    # `held` is the highest level that was ever confirmed, which is what a fall is measured by.
    """CREATE TABLE ipv6_level (
        county TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, confirmed INTEGER NOT NULL,
        possible INTEGER NOT NULL, held INTEGER NOT NULL, verdicts TEXT NOT NULL, since DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (county, unit, kind, key)
    ) {packed}""",
    """CREATE TABLE ipv6_history (
        county TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
        time DOUBLE PRECISION NOT NULL, id TEXT NOT NULL, confirmed INTEGER NOT NULL, possible INTEGER NOT NULL,
        PRIMARY KEY (county, unit, kind, key, time, id)
    ) {packed}""",
    "CREATE INDEX ipv6_history_time ON ipv6_history (county, time)",
    """CREATE TABLE ipv6_week (
        county TEXT NOT NULL, unit TEXT NOT NULL, week TEXT NOT NULL, metric TEXT NOT NULL, passed BIGINT NOT NULL,
        total BIGINT NOT NULL, unknown BIGINT NOT NULL, PRIMARY KEY (county, week, unit, metric)
    ) {packed}""",
)


def upgrade() -> None:
    """Make the tables."""
    packed = PACKED.get(op.get_context().dialect.name, "")
    for statement in BY_COUNTY:
        op.execute(statement.replace("{packed}", packed))
