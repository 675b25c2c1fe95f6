"""From where agents look, as operators declare it; from where services can be reached, and which section says so.

What was there before was seen from nobody knows where: unknown, until an operator says otherwise.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns; those of services are filled as they are judged."""
    op.execute("ALTER TABLE agent ADD COLUMN vantage TEXT NOT NULL DEFAULT 'unknown'")
    op.execute("ALTER TABLE enrolment_token ADD COLUMN vantage TEXT NOT NULL DEFAULT 'unknown'")
    op.execute("ALTER TABLE service ADD COLUMN exposure TEXT NOT NULL DEFAULT 'unknown'")
    op.execute("ALTER TABLE service ADD COLUMN exposed_by BIGINT")
    op.execute("CREATE INDEX service_exposed ON service (county, unit) WHERE exposure <> 'unknown'")
