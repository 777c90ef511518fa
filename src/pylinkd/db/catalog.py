"""Which tables a database has, gathered from the forms in which they may be given."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from .errors import DatabaseSetupError
from .schema import TableSchema, is_declarative_base, is_model
from .table import Table

#: A MetaData, a declarative base class, or models and tables one by one.
TableSource: TypeAlias = sa.MetaData | type[Any] | Sequence[type[Any] | sa.Table]


def from_source(source: TableSource) -> dict[str, TableSchema[Any]]:
    """Describe every table of a source, under the table's own name.

    Raises:
        DatabaseSetupError: If the source is of another kind, or two tables share a name.
    """
    schemas: dict[str, TableSchema[Any]] = {}
    for each in _members(source):
        name = each.name if isinstance(each, sa.Table) else _table_name(each)
        if name in schemas:
            raise DatabaseSetupError(f"two tables are named {name!r}; declare them in a subclass of Database instead")
        schemas[name] = TableSchema(name, each)
    return schemas


def from_annotations(face: type, given: dict[str, TableSchema[Any]]) -> dict[str, TableSchema[Any]]:
    """Describe the tables that a Database subclass declares as ``name: Table[Model]``.

    Args:
        face: The subclass.
        given: Tables from elsewhere. A declaration that names no model, such as ``log: Table[Any]``,
            is looked up here by its name.

    Raises:
        DatabaseSetupError: If a declaration cannot be resolved, or would hide a method.
    """
    schemas: dict[str, TableSchema[Any]] = {}
    for name, hint in _hints(face).items():
        if typing.get_origin(hint) is not Table:
            continue
        if hasattr(face, name):
            raise DatabaseSetupError(f"{face.__name__}.{name}: the name is taken by Database; choose another one")
        (model,) = typing.get_args(hint)
        if is_model(model):
            schemas[name] = TableSchema(name, model)
        elif name in given:
            schemas[name] = given[name]
        else:
            raise DatabaseSetupError(
                f"{face.__name__}.{name}: Table[...] needs a declarative model; "
                f"for a plain table pass the MetaData that has {name!r} as tables="
            )
    return schemas


def metadata_of(schemas: Iterable[TableSchema[Any]]) -> list[sa.MetaData]:
    """Every MetaData that the tables belong to, once each."""
    return list({id(schema.table.metadata): schema.table.metadata for schema in schemas}.values())


def _members(source: Any) -> Iterable[type[Any] | sa.Table]:
    if isinstance(source, sa.MetaData):
        return list(source.tables.values())
    if isinstance(source, sa.Table) or is_model(source):
        raise DatabaseSetupError("tables= takes a list; put the one table or model into [ ]")
    if is_declarative_base(source):
        registry = source.registry
        models = [mapper.class_ for mapper in registry.mappers if mapper.inherits is None]
        mapped = {sa.inspect(model).local_table for model in models}
        # Tables without a model, such as those between two models, are as good as the others.
        return [*models, *(table for table in registry.metadata.tables.values() if table not in mapped)]
    if isinstance(source, Iterable):
        members = list(source)
        for each in members:
            if not isinstance(each, sa.Table) and not is_model(each):
                raise DatabaseSetupError(f"tables= contains {each!r}, which is neither a model nor a Table")
        return members
    raise DatabaseSetupError(
        f"tables= is {source!r}; expected a subclass of Database, a MetaData, a declarative base, "
        "or a list of models and tables"
    )


def _table_name(model: type[Any]) -> str:
    name: str = sa.inspect(model).local_table.name
    return name


def _hints(face: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(face)
    except NameError as error:
        raise DatabaseSetupError(
            f"{face.__name__}: the annotations cannot be read, {error}; "
            "models must be importable at the top of the module that declares the database"
        ) from error
