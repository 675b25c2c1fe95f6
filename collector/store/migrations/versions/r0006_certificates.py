"""The day (as an ordinal) on which the certificate of a service expires, so that midnight finds those that near it."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; it is filled as services are judged."""
    op.execute("ALTER TABLE service ADD COLUMN cert_until BIGINT")
    op.execute("CREATE INDEX service_cert ON service (county, cert_until) WHERE cert_until IS NOT NULL")
