"""Bytes by address family that the agents of a unit counted on a day (UTC), and the least confidence behind them."""

from alembic import op

revision = "0005"
down_revision = "0004"

PACKED = {"sqlite": "WITHOUT ROWID"}

BY_COUNTY = (
    """CREATE TABLE ipv6_day (
        county TEXT NOT NULL, unit TEXT NOT NULL, day TEXT NOT NULL, v4 BIGINT NOT NULL, v6 BIGINT NOT NULL,
        confidence TEXT NOT NULL, PRIMARY KEY (county, unit, day)
    ) {packed}""",
)


def upgrade() -> None:
    """Make the table."""
    packed = PACKED.get(op.get_context().dialect.name, "")
    for statement in BY_COUNTY:
        op.execute(statement.replace("{packed}", packed))
