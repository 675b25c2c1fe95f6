"""The size of what each section holds, so that what one agent and one unit hold is known without counting.

A sighting is one, and so is each KiB of details, as in collector.memory.allowance.
"""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column and count what is there, once."""
    op.execute("ALTER TABLE section ADD COLUMN held BIGINT NOT NULL DEFAULT 0")
    op.execute(
        "UPDATE section SET held = (SELECT count(*) + coalesce(sum(length(detail)), 0) / 1024 FROM sighting "
        "WHERE sighting.county = section.county AND sighting.section = section.id) + coalesce((SELECT "
        "(length(coverage) + length(covered) + length(skipped)) / 1024 FROM section_detail "
        "WHERE section_detail.county = section.county AND section_detail.section = section.id), 0)"
    )
