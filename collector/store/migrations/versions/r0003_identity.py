"""Joined and taken apart: which assets were merged, by what evidence, and which a person said are two devices."""

from alembic import op

revision = "0003"
down_revision = "0002"

PACKED = {"sqlite": "WITHOUT ROWID"}

STATEMENTS = (
    """CREATE TABLE joined (
        county TEXT NOT NULL, id TEXT NOT NULL, unit TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL,
        time DOUBLE PRECISION NOT NULL, person TEXT NOT NULL, score DOUBLE PRECISION NOT NULL, why TEXT NOT NULL,
        evidence TEXT NOT NULL, first_seen DOUBLE PRECISION NOT NULL, baseline BOOLEAN NOT NULL,
        undone DOUBLE PRECISION, PRIMARY KEY (county, id)
    ) {packed}""",
    "CREATE INDEX joined_old ON joined (county, old)",
    "CREATE INDEX joined_new ON joined (county, new)",
    """CREATE TABLE apart (
        county TEXT NOT NULL, one TEXT NOT NULL, other TEXT NOT NULL, time DOUBLE PRECISION NOT NULL,
        person TEXT NOT NULL, PRIMARY KEY (county, one, other)
    ) {packed}""",
    "CREATE INDEX apart_other ON apart (county, other)",
)


def upgrade() -> None:
    """Make both tables; merges of an earlier release have no line here and cannot be taken back."""
    packed = PACKED.get(op.get_context().dialect.name, "")
    for statement in STATEMENTS:
        op.execute(statement.replace("{packed}", packed))
