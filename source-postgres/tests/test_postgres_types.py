"""The table of types is whole, and a column finds its line through domains, enums, arrays and composites."""

from __future__ import annotations

import pytest

from connector_parts.postgres import Postgres
from connector_sdk import schema
from source_postgres.types import JSON_AS_TEXT, TYPES, TYPES_NEEDED, Column, JsonAs, Kind, Layout, PgType, column
from source_postgres.values import DECODERS

CATALOG = [
    PgType(23, "int4", "pg_catalog", "b", "N"),
    PgType(1007, "_int4", "pg_catalog", "b", "A", element=23),
    PgType(25, "text", "pg_catalog", "b", "S"),
    PgType(114, "json", "pg_catalog", "b", "U"),
    PgType(199, "_json", "pg_catalog", "b", "A", element=114),
    PgType(790, "money", "pg_catalog", "b", "N"),
    PgType(791, "_money", "pg_catalog", "b", "A", element=790),
    PgType(600, "point", "pg_catalog", "b", "G", element=701),
    PgType(3904, "int4range", "pg_catalog", "r", "R"),
    PgType(1, "age", "public", "d", "N", base=23),
    PgType(2, "grown_up", "public", "d", "N", base=1),
    PgType(3, "_grown_up", "public", "b", "A", element=2),
    PgType(4, "numbers", "public", "d", "A", base=1007),
    PgType(5, "_numbers", "public", "b", "A", element=4),
    PgType(6, "mood", "public", "e", "E"),
    PgType(7, "person", "public", "c", "C", attributes=["name", "age"], attribute_types=[25, 2]),
    PgType(8, "_person", "public", "b", "A", element=7),
    PgType(9, "stay", "public", "c", "C", attributes=["who", "when"], attribute_types=[7, 3904]),
    PgType(10, "_stay", "public", "b", "A", element=9),
    PgType(11, "hstore", "wherever", "b", "U"),
    PgType(12, "int4", "wherever", "b", "U"),
    PgType(13, "hstore", "pg_catalog", "b", "U"),
    PgType(14, "geometry", "gis", "d", "S", base=25),
    PgType(15, "geometry", "gis", "b", "U"),
    PgType(16, "note", "public", "c", "C", attributes=["doc"], attribute_types=[114]),
    PgType(17, "vector", "public", "r", "R"),
]
BY_OID = {item.oid: item for item in CATALOG}


def kind(oid: int, json_as: JsonAs = "value") -> tuple[object, Layout, str]:
    found = column("c", oid, BY_OID, json_as)
    return found.schema, found.layout, found.select


def array(element: Layout) -> Layout:
    return Layout("array", (("", element),))


INT, TEXT, JSON = Layout("int4"), Layout("text"), Layout("json")
PERSON = Layout("composite", (("name", TEXT), ("age", INT)))
AS_JSON = "pg_catalog.to_json({})"


@pytest.mark.parametrize(
    ("oid", "expected"),
    [
        (23, (schema.INTEGER, INT, "{}")),
        (1007, (schema.array(schema.INTEGER), array(INT), "{}")),
        (790, (schema.NUMBER, Layout("numeric"), "{}::pg_catalog.numeric")),
        (791, (schema.array(schema.NUMBER), array(Layout("numeric")), "{}::pg_catalog.numeric[]")),
        (600, (schema.STRING, TEXT, "{}::pg_catalog.text")),
        (3904, (schema.STRING, TEXT, "{}::pg_catalog.text")),
        (2, (schema.INTEGER, INT, "{}")),
        (3, (schema.array(schema.INTEGER), array(INT), "{}")),
        (4, (schema.array(schema.INTEGER), array(INT), "{}")),
        (5, (schema.array(schema.array(schema.INTEGER)), array(array(INT)), "{}")),
        (6, (schema.STRING, TEXT, "{}")),
        (7, (schema.OBJECT, PERSON, "{}")),
        (8, (schema.array(schema.OBJECT), array(PERSON), "{}")),
        (9, (schema.OBJECT, JSON, AS_JSON)),
        (10, (schema.array(schema.OBJECT), JSON, AS_JSON)),
        (11, (schema.OBJECT, Layout("hstore"), "{}")),
        (12, (schema.STRING, TEXT, "{}::pg_catalog.text")),
        (13, (schema.STRING, TEXT, "{}::pg_catalog.text")),
        (14, (schema.STRING, TEXT, "{}")),
        (15, (schema.STRING, TEXT, "{}::pg_catalog.text")),
        (114, (schema.ANY, JSON, "{}")),
        (16, (schema.OBJECT, Layout("composite", (("doc", JSON),)), "{}")),
        (17, (schema.STRING, TEXT, "{}::pg_catalog.text")),
    ],
)
def test_what_becomes_of_a_type(oid: int, expected: tuple[object, Layout, str]) -> None:
    assert kind(oid) == expected


def test_json_as_text_also_inside_of_others() -> None:
    assert kind(114, "text") == (schema.STRING, TEXT, "{}")
    assert kind(199, "text") == (schema.array(schema.STRING), array(TEXT), "{}")
    assert kind(16, "text") == (schema.OBJECT, Layout("composite", (("doc", TEXT),)), "{}")
    assert kind(9, "text") == (schema.OBJECT, JSON, AS_JSON)


def test_each_line_has_a_decoder_and_each_decoder_a_line() -> None:
    used = {line.layout.decoder for line in [*TYPES.values(), *JSON_AS_TEXT.values()]}
    assert used == set(DECODERS)


@pytest.mark.parametrize("line", TYPES.values(), ids=list(TYPES))
def test_a_line_allows_null_and_selects_the_column(line: Kind) -> None:
    assert "null" in line.schema["type"]
    assert line.select.count("{}") == 1


def test_the_query_brings_all_that_a_type_is_made_of(postgres: Postgres) -> None:
    database = postgres.create_database()
    database.execute("""
        CREATE TYPE mood AS ENUM ('a');
        CREATE DOMAIN age AS int;
        CREATE TYPE person AS (name varchar(10), gone int, "Age" age, moods mood[]);
        ALTER TYPE person DROP ATTRIBUTE gone;
        CREATE DOMAIN people AS person[];
    """)
    with database.connect() as connection:
        ((oid,),) = connection.execute("SELECT 'people'::regtype::oid").fetchall()
        types = {row[0]: PgType(*row) for row in connection.execute(TYPES_NEEDED, [[oid]])}
    assert {item.name for item in types.values()} >= {"people", "_person", "person", "varchar", "age", "int4", "mood"}
    person = Layout("composite", (("name", TEXT), ("Age", INT), ("moods", array(TEXT))))
    assert column("c", oid, types) == Column("c", schema.array(schema.OBJECT), array(person))
