"""Brings the schema of a database up to what this release writes; each step is one transaction."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from collector.errors import StoreError
from wire.text import Text

FOLDER = Path(__file__).parent / "migrations"


def migrate(engine: Engine, path: Path) -> None:
    """Take every missing step; a database that a newer release wrote is a StoreError and stays as it is."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        found = set(MigrationContext.configure(connection).get_current_heads())
    unknown = found - {script.revision for script in scripts.walk_revisions()}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise StoreError(
            Text(
                f"{path}：数据库结构 {names} 由更新版本的 edusec 写成；请升级 edusec，或恢复升级前的备份",
                f"{path}: schema {names} was written by a newer release of edusec; "
                "upgrade edusec, or restore the backup made before the upgrade",
            )
        )
    if found == set(scripts.get_heads()):
        return
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=OFF")
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")
        connection.commit()
        connection.exec_driver_sql("PRAGMA query_only=ON")
