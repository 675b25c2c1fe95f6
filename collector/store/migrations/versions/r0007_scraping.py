"""Where reports come from, and the metrics addresses that a person approved.

What agents said before counts as approved, so that Prometheus goes on; not where it leads to a machine itself.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

_NEVER = ("127.%", "0.%", "169.254.%", "localhost%", "[::%", "[fe80:%", "[FE80:%")


def upgrade() -> None:
    """Add both columns, and take over what is scraped today; people see it as approved and can withdraw it."""
    op.execute("ALTER TABLE agent_state ADD COLUMN source TEXT NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE agent ADD COLUMN scrape TEXT NOT NULL DEFAULT ''")
    leads_on = " AND ".join(f"metrics_url NOT LIKE 'http%://{start}'" for start in _NEVER)
    told = (
        "SELECT metrics_url FROM agent_state WHERE agent_state.county = agent.county AND agent_state.agent = agent.id "  # noqa: S608 (words of our own)
        f"AND metrics_url LIKE 'http%://%/metrics' AND {leads_on}"
    )
    op.execute(f"UPDATE agent SET scrape = coalesce(({told}), '')")  # noqa: S608
