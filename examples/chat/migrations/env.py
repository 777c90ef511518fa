"""How Alembic runs here: ``linkd db`` takes the database and the tables from the service."""

from pylinkd.db.migration_environment import run_migrations

run_migrations()
