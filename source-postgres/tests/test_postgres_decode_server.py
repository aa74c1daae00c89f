"""Every type, read from real servers, and judged by what the server itself says of the same value."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Iterator
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeAlias

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from connector_parts.postgres import Postgres
from connector_sdk import Envelope
from source_postgres.decode import Decoder
from source_postgres.rows import Message
from source_postgres.types import TYPES_NEEDED, Column, JsonAs, PgType, column

pytestmark = pytest.mark.slow

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
MARK = Envelope(b"", b"", b"\t", b"")
EXTENSIONS = ("hstore", "citext", "ltree", "vector")
SETUP = """
CREATE SCHEMA made;
CREATE TYPE made.mood AS ENUM ('happy', 'it''s "so so"', '');
CREATE DOMAIN made.positive AS int CHECK (value > 0);
CREATE DOMAIN made.very_positive AS made.positive;
CREATE DOMAIN made.grid AS int[];
CREATE TYPE made.point AS (x float8, "the y" numeric(6, 2), at timestamptz, doc json, tags text[]);
CREATE TYPE made.route AS (name text, stops made.point[], mood made.mood, size made.very_positive);
CREATE TYPE made.booking AS (room int, during tstzrange);
CREATE TYPE made.shrunk AS (a int, b text, c int);
ALTER TYPE made.shrunk DROP ATTRIBUTE b;
CREATE TYPE made.empty AS ();
"""


def prepared(server: Postgres) -> Connection:
    connection = server.create_database().connect()
    for setting in ("TimeZone = 'UTC'", "DateStyle = 'ISO'", "IntervalStyle = 'postgres'", "bytea_output = 'hex'"):
        connection.execute(f"SET {setting}".encode())
    connection.execute(SETUP.encode())
    return connection


@pytest.fixture(scope="module")
def db(postgres: Postgres) -> Iterator[Connection]:
    with prepared(postgres) as connection:
        connection.execute("CREATE SCHEMA ext")
        for extension in EXTENSIONS:
            connection.execute(f"CREATE EXTENSION {extension} SCHEMA ext".encode())
        connection.execute("SET search_path = public, ext")
        yield connection


@pytest.fixture(scope="module")
def db15(postgres15: Postgres) -> Iterator[Connection]:
    with prepared(postgres15) as connection:
        yield connection


def columns_of(db: Connection, select: str, json_as: JsonAs = "value") -> list[Column]:
    """Resolved as a connector does it, by the oids of the columns."""
    db.execute("DROP VIEW IF EXISTS pg_temp.looked_at")
    db.execute(f"CREATE TEMP VIEW looked_at AS {select}".encode())
    return columns_in(db, "pg_temp.looked_at", json_as)


def columns_in(db: Connection, table: str, json_as: JsonAs = "value") -> list[Column]:
    found = db.execute(
        "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        [table],
    ).fetchall()
    types = types_of(db, [oid for _, oid in found])
    return [column(name, oid, types, json_as) for name, oid in found]


def types_of(db: Connection, oids: list[int]) -> dict[int, PgType]:
    return {row[0]: PgType(*row) for row in db.execute(TYPES_NEEDED, [oids])}


COPY = "COPY (SELECT {} FROM ({}) q) TO STDOUT (FORMAT binary)"


def read(db: Connection, select: str, columns: list[Column]) -> list[str]:
    """The lines, as text; what was lost follows a tab."""
    wanted = sql.SQL(", ").join(sql.SQL(item.select).format(sql.Identifier(item.name)) for item in columns)
    with db.cursor() as cursor, cursor.copy(sql.SQL(COPY).format(wanted, sql.SQL(select))) as copy:
        return lines(columns, copy)


def lines(columns: list[Column], messages: Iterable[Message]) -> list[str]:
    decoder = Decoder(columns, lambda: MARK)
    for message in messages:
        decoder.feed(message)
    decoder.finish()
    made, count = decoder.take()
    assert made.count(b"\n") == count
    return made.decode().split("\n")[:-1]


def value(db: Connection, expression: str, json_as: JsonAs = "value") -> str:
    """The JSON of one value; a mark `(told)` if something of it was lost."""
    select = f"SELECT {expression} AS v"
    (line,) = read(db, select, columns_of(db, select, json_as))
    row, _, told = line.partition("\t")
    if told:
        assert json.loads(told) == [{"field": "v", "change": "NULLED", "reason": "SOURCE_SERIALIZATION_ERROR"}]
    return row.removeprefix('{"v":').removesuffix("}") + (" (told)" if told else "")


def values(db: Connection, pg_type: str, texts: list[str], judge: str) -> list[tuple[str, str]]:
    """For each text, as this type: our JSON, and what the server says of it by the expression `judge` on `v`."""
    literal = sql.SQL("unnest({}::text[])").format(sql.Literal(texts)).as_string(db)
    source = f"SELECT x::{pg_type} AS v FROM {literal} WITH ORDINALITY u (x, n) ORDER BY n"
    columns = cached_columns(db, pg_type)
    ours = [line.removeprefix('{"v":') for line in read(db, source, columns)]
    theirs = [text for (text,) in db.execute(f"SELECT {judge} FROM ({source}) q".encode())]
    assert len(ours) == len(theirs) == len(texts)
    return list(zip(ours, theirs, strict=True))


_columns: dict[str, list[Column]] = {}


def cached_columns(db: Connection, pg_type: str) -> list[Column]:
    if pg_type not in _columns:
        _columns[pg_type] = columns_of(db, f"SELECT NULL::{pg_type} AS v")
    return _columns[pg_type]


def kept(ours: str) -> str:
    """Our JSON of a value that must not be lost."""
    assert ours.endswith("}"), ours
    return ours[:-1]


def lost(ours: str) -> bool:
    row, _, told = ours.partition("\t")
    return row == "null}" and '"change":"NULLED"' in told


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=pytest.fail)


# What each type becomes, said once by example

EXAMPLES = {
    "true": "true",
    "false": "false",
    "NULL::int": "null",
    "(-32768)::int2": "-32768",
    "(-2147483648)::int4": "-2147483648",
    "9223372036854775807::int8": "9223372036854775807",
    "4294967295::oid": "4294967295",
    "'4294967295'::xid": "4294967295",
    "'7'::cid": "7",
    "'18446744073709551615'::xid8": "18446744073709551615",
    "1::float4": "1.0",
    "'-0'::float8": "-0.0",
    "0.1::float4": "0.1",
    "16777216::float4": "16777216.0",
    "'3.4028235e38'::float4": "3.4028235e+38",
    "'1e-45'::float4": "1e-45",
    "'-1.17549435e-38'::float4": "-1.1754944e-38",
    "1e15::float8": "1000000000000000.0",
    "1e16::float8": "1e+16",
    "0.0001::float8": "0.0001",
    "0.00001::float8": "1e-05",
    "'5e-324'::float8": "5e-324",
    "'1.7976931348623157e308'::float8": "1.7976931348623157e+308",
    "'NaN'::float8": "null (told)",
    "'-Infinity'::float4": "null (told)",
    "1.50::numeric": "1.50",
    "(-0.00)::numeric": "0.00",
    "0.000012300::numeric": "0.000012300",
    "12345678901234567890123456789012345678.5::numeric": "12345678901234567890123456789012345678.5",
    "1e20::numeric": "100000000000000000000",
    "'NaN'::numeric": "null (told)",
    "'-1234.5'::money": "-1234.50",
    """'a"b\\c/' || chr(9) || chr(127) || '한😀'""": '"a\\"b\\\\c/\\t\x7f한😀"',
    "'ab'::char(4)": '"ab  "',
    "'ab'::varchar(4)": '"ab"',
    "'ab'::name": '"ab"',
    "'a'::\"char\"": '"a"',
    "'\\xDEADbeef'::bytea": '"\\\\xdeadbeef"',
    "''::bytea": '"\\\\x"',
    "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid": '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"',
    """'{"b" :1, "a":[1,\n2],\r\n"a":"\\u0000\\n" , "n":1.50e1000}'::json""": (
        '{"b" :1, "a":[1, 2],  "a":"\\u0000\\n" , "n":1.50e1000}'
    ),
    """'{"b" :1,"a":[1,2],"n":1.50e3}'::jsonb""": '{"a": [1, 2], "b": 1, "n": 1500}',
    "'null'::json": "null",
    "'null'::jsonb": "null",
    "'2024-05-05'::date": '"2024-05-05"',
    "'0044-03-15 BC'::date": '"0044-03-15 BC"',
    "'0001-01-01'::date - 1": '"0001-12-31 BC"',
    "'5874897-12-31'::date": '"5874897-12-31"',
    "'4713-01-01 BC'::date": '"4713-01-01 BC"',
    "'infinity'::date": "null (told)",
    "'-infinity'::date": "null (told)",
    "'2024-05-05 22:08:09.123456'::timestamp": '"2024-05-05T22:08:09.123456"',
    "'2024-05-05 22:08:09.100'::timestamp": '"2024-05-05T22:08:09.1"',
    "'2024-05-05 00:00'::timestamp": '"2024-05-05T00:00:00"',
    "'0044-03-15 12:00:00.5 BC'::timestamp": '"0044-03-15T12:00:00.5 BC"',
    "'294276-12-31 23:59:59.999999'::timestamp": '"294276-12-31T23:59:59.999999"',
    "'4713-01-01 00:00 BC'::timestamp": '"4713-01-01T00:00:00 BC"',
    "'infinity'::timestamp": "null (told)",
    "'2024-05-05 22:08:09.5+09'::timestamptz": '"2024-05-05T13:08:09.5Z"',
    "'0044-03-15 12:00:00+00 BC'::timestamptz": '"0044-03-15T12:00:00Z BC"',
    "'-infinity'::timestamptz": "null (told)",
    "'07:08:09.5'::time": '"07:08:09.5"',
    "'24:00:00'::time": '"24:00:00"',
    "'07:08:09.5+09'::timetz": '"07:08:09.5+09:00"',
    "'07:08:09-03:30'::timetz": '"07:08:09-03:30"',
    "'07:08:09+00'::timetz": '"07:08:09+00:00"',
    "'24:00:00-15:59:59'::timetz": '"24:00:00-15:59:59"',
    "'1 year 2 months -3 days 04:05:06.7'::interval": '"1 year 2 mons -3 days +04:05:06.7"',
    "'-1 year 1 day'::interval": '"-1 years +1 day"',
    "'0'::interval": '"00:00:00"',
    "'-1000:00:00.000001'::interval": '"-1000:00:00.000001"',
    "'192.168.0.1'::inet": '"192.168.0.1"',
    "'192.168.0.1/24'::inet": '"192.168.0.1/24"',
    "'192.168.0.1/32'::cidr": '"192.168.0.1/32"',
    "'10/8'::cidr": '"10.0.0.0/8"',
    "'2001:db8::1/64'::inet": '"2001:db8::1/64"',
    "'::ffff:1.2.3.4'::inet": '"::ffff:1.2.3.4"',
    "'08:00:2b:01:02:03'::macaddr": '"08:00:2b:01:02:03"',
    "'08:00:2b:01:02:03:04:05'::macaddr8": '"08:00:2b:01:02:03:04:05"',
    "B'10100000001'": '"10100000001"',
    "B''::varbit": '""',
    "'(1,2.5)'::point": '"(1,2.5)"',
    "'{1,2,3}'::line": '"{1,2,3}"',
    "'[(1,2),(3,4)]'::lseg": '"[(1,2),(3,4)]"',
    "'(1,2),(3,4)'::box": '"(3,4),(1,2)"',
    "'((1,2),(3,4))'::path": '"((1,2),(3,4))"',
    "'((1,2),(3,4))'::polygon": '"((1,2),(3,4))"',
    "'<(1,2),3>'::circle": '"<(1,2),3>"',
    "'a fat cat'::tsvector": "\"'a' 'cat' 'fat'\"",
    "'fat & cat'::tsquery": "\"'fat' & 'cat'\"",
    "'[1,10)'::int4range": '"[1,10)"',
    "'empty'::daterange": '"empty"',
    "'[2024-01-01 09:00+09,)'::tstzrange": '"[\\"2024-01-01 00:00:00+00\\",)"',
    "'16/B374D848'::pg_lsn": '"16/B374D848"',
    "'pg_class'::regclass": '"pg_class"',
    "'int4'::regtype": '"integer"',
    "'$.a'::jsonpath": '"$.\\"a\\""',
    "'(1,2)'::tid": '"(1,2)"',
    "'{1,NULL,3}'::int[]": "[1,null,3]",
    "'{}'::int[]": "[]",
    "'[5:6]={1,2}'::int[]": "[1,2]",
    "'{{{1,2},{3,4}},{{5,6},{7,NULL}}}'::int8[]": "[[[1,2],[3,4]],[[5,6],[7,null]]]",
    """ARRAY['a"b', '', NULL, 'null']""": '["a\\"b","",null,"null"]',
    "'{NaN,1.5}'::float8[]": "[null,1.5] (told)",
    "'{{1,2},{3,NaN}}'::numeric[]": "[[1,2],[3,null]] (told)",
    "'{2020-01-01,infinity,NULL}'::date[]": '["2020-01-01",null,null] (told)',
    "'{1.5,-2}'::money[]": "[1.50,-2.00]",
    "ARRAY['[1,2]'::int4range, NULL]": '["[1,3)",null]',
    """ARRAY['{"a":\n1}'::json, '[]']""": '[{"a": 1},[]]',
    "ARRAY['10.0.0.1'::inet, '10.0.0.1/8']": '["10.0.0.1","10.0.0.1/8"]',
    "'{\"a \",b}'::char(3)[]": '["a  ","b  "]',
    "'1 2 3'::int2vector": "[1,2,3]",
    "''::oidvector": "[]",
    "'it''s \"so so\"'::made.mood": '"it\'s \\"so so\\""',
    "ARRAY['happy', '']::made.mood[]": '["happy",""]',
    "7::made.very_positive": "7",
    "ARRAY[7, 8]::made.very_positive[]": "[7,8]",
    "'{{1,2},{3,4}}'::made.grid": "[[1,2],[3,4]]",
    "ARRAY['{{1,2},{3,4}}', NULL]::made.grid[]": "[[[1,2],[3,4]],null]",
    """ROW(1, 2, '2024-01-01', '{"a":\n1}', '{x,NULL}')::made.point""": (
        '{"x":1.0,"the y":2.00,"at":"2024-01-01T00:00:00Z","doc":{"a": 1},"tags":["x",null]}'
    ),
    "ROW('NaN', NULL, 'infinity', NULL, NULL)::made.point": (
        '{"x":null,"the y":null,"at":null,"doc":null,"tags":null} (told)'
    ),
    "ROW('r', ARRAY[ROW('NaN', 1, NULL, NULL, NULL)::made.point, NULL], 'happy', 5)::made.route": (
        '{"name":"r","stops":[{"x":null,"the y":1.00,"at":null,"doc":null,"tags":'
        'null},null],"mood":"happy","size":5} (told)'
    ),
    "ROW(1, '[2024-01-01,)')::made.booking": '{"room":1,"during":"[\\"2024-01-01 00:00:00+00\\",)"}',
    "ARRAY[ROW(1, NULL)::made.booking, NULL]": '[{"room":1,"during":null},null]',
    "ROW(1, 2)::made.shrunk": '{"a":1,"c":2}',
    "ROW()::made.empty": "{}",
}

NEWER = {
    "'infinity'::numeric": "null (told)",
    "'-infinity'::interval": '"-infinity"',
    "'infinity'::interval": '"infinity"',
    "'{[1,3),[7,9)}'::int4multirange": '"{[1,3),[7,9)}"',
    "0x1F::int": "31",
    "''::\"char\"": '""',
}

OF_EXTENSIONS = {
    "'Ab\"c'::ext.citext": '"Ab\\"c"',
    "ARRAY['Ab']::ext.citext[]": '["Ab"]',
    """'a=>1, "b c"=>NULL, d=>"NULL", "q\\""=>"\\\\"'::ext.hstore""": '{"a":"1","d":"NULL","q\\"":"\\\\","b c":null}',
    "''::ext.hstore": "{}",
    "ARRAY['a=>1'::ext.hstore, NULL]": '[{"a":"1"},null]',
    "'Top.Science'::ext.ltree": '"Top.Science"',
    "ARRAY['a.b'::ext.ltree, NULL]": '["a.b",null]',
    "'*.a'::ext.lquery": '"*.a"',
    "'[1,-2.5,3e-10]'::ext.vector": "[1.0,-2.5,3e-10]",
    "ARRAY['[1]'::ext.vector, NULL]": "[[1.0],null]",
    "'[1,0.1,-65504]'::ext.halfvec": "[1.0,0.099975586,-65504.0]",
    "'{1:1.5,3:2}/5'::ext.sparsevec": '"{1:1.5,3:2}/5"',
}


@pytest.mark.parametrize("expression", EXAMPLES)
def test_example(db: Connection, expression: str) -> None:
    assert value(db, expression) == EXAMPLES[expression]


@pytest.mark.parametrize("expression", EXAMPLES)
def test_example_of_an_older_server(db15: Connection, expression: str) -> None:
    assert value(db15, expression) == EXAMPLES[expression]


@pytest.mark.parametrize("expression", [*NEWER, *OF_EXTENSIONS])
def test_example_of_the_newest(db: Connection, expression: str) -> None:
    assert value(db, expression) == {**NEWER, **OF_EXTENSIONS}[expression]


JSON_TEXTS = {
    """'{"b" :1,\n"a":"\\u0000"}'::json""": '"{\\"b\\" :1,\\n\\"a\\":\\"\\\\u0000\\"}"',
    """'{"b" :1}'::jsonb""": '"{\\"b\\": 1}"',
    "ARRAY['1'::jsonb, 'null', NULL]": '["1","null",null]',
    "ROW(NULL, NULL, NULL, '[1]', NULL)::made.point": '{"x":null,"the y":null,"at":null,"doc":"[1]","tags":null}',
    "ROW(1, NULL)::made.booking": '{"room":1,"during":null}',
    "'null'::json": '"null"',
}


@pytest.mark.parametrize("expression", JSON_TEXTS)
def test_json_as_text(db: Connection, expression: str) -> None:
    assert value(db, expression, "text") == JSON_TEXTS[expression]


def test_all_examples_in_one_row_cut_anywhere(db: Connection) -> None:
    parts = [f"{expression} AS c{number}" for number, expression in enumerate([*EXAMPLES, *NEWER, *OF_EXTENSIONS])]
    select = "SELECT " + ", ".join(parts)
    columns = columns_of(db, select)
    wanted = ", ".join(item.select.format(item.name) for item in columns)
    with db.cursor() as cursor, cursor.copy(COPY.format(wanted, select).encode()) as copy:
        stream = b"".join(bytes(message) for message in copy)
    whole = lines(columns, [stream])
    assert lines(columns, [bytes([byte]) for byte in stream]) == whole
    for at in range(0, len(stream), 41):
        assert lines(columns, [stream[:at], stream[at:]]) == whole


@pytest.mark.parametrize("which", ["db", "db15"])
def test_each_type_that_the_server_knows_can_be_read(which: str, request: pytest.FixtureRequest) -> None:
    """A null, and an array of one null, which looks up how the type is sent; none may fail.

    Without row types that hold an `anyarray`, which no other table may contain.
    """
    db: Connection = request.getfixturevalue(which)
    found = db.execute("""
        SELECT t.oid, format_type(t.oid, NULL), typarray FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
        WHERE typisdefined AND typtype <> 'p' AND typname !~ '^_' AND nspname !~ '^pg_(temp|toast)'
        AND typname NOT IN ('pg_attribute', 'pg_statistic', 'pg_statistic_ext_data', 'pg_stats', 'pg_stats_ext_exprs')
        AND (typtype <> 'c' OR (SELECT relkind FROM pg_class WHERE oid = typrelid) IN ('r', 'v', 'c'))
    """).fetchall()
    assert len(found) > 250
    nulls = {f"NULL::{name}": oid for oid, name, _ in found}
    nulls |= {f"ARRAY[NULL]::{name}[]": oid for _, name, oid in found if oid}
    types = types_of(db, list(nulls.values()))
    columns = [column(expression, oid, types) for expression, oid in nulls.items()]
    selected = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(nulls))
    read_as = ", ".join(item.select.format(f"c{number}") for number, item in enumerate(columns))
    with db.cursor() as cursor, cursor.copy(COPY.format(read_as, f"SELECT {selected}").encode()) as copy:
        (line,) = lines(columns, copy)
    assert json.loads(line) == {expression: None if expression.startswith("N") else [None] for expression in nulls}


@pytest.mark.parametrize("table", ["pg_class", "pg_index", "pg_proc", "pg_attribute", "pg_type", "pg_settings"])
def test_rows_of_system_tables_are_equal_to_what_the_server_makes_of_them(db: Connection, table: str) -> None:
    """As columns, and once more as one composite."""
    select = f"SELECT * FROM pg_catalog.{table} ORDER BY 1, 2, 3 LIMIT 200"
    ours_of_columns = read(db, select, columns_in(db, table))
    ((row_type,),) = db.execute("SELECT reltype FROM pg_class WHERE oid = %s::regclass", [table]).fetchall()
    composite = column("v", row_type, types_of(db, [row_type]))
    whole = f"SELECT t AS v FROM pg_catalog.{table} t"
    in_composites = {json.dumps(exact(line)["v"], default=str, sort_keys=True) for line in read(db, whole, [composite])}
    judged = db.execute(f"SELECT row_to_json(q)::text FROM ({select}) q".encode()).fetchall()
    assert len(judged) > 20
    for line, (theirs,) in zip(ours_of_columns, judged, strict=True):
        ours = exact(line)
        for key, expected in exact(theirs).items():
            assert ours[key] == expected or ours[key] == _parsed(expected), (table, key)
        if composite.select == "{}":
            assert json.dumps(ours, default=str, sort_keys=True) in in_composites


def _parsed(text: Any) -> Any:
    """Numbers that the server quotes (oid, xid), and values that are text to us but a list to nobody (anyarray)."""
    if isinstance(text, list):
        return [_parsed(item) for item in text]
    return Decimal(text) if isinstance(text, str) and re.fullmatch(r"-?\d+", text) else text


# Whatever else there may be, judged by the server

numbers = st.builds(
    lambda sign, digits, places, zeros: f"{sign}{digits}{'0' * zeros}{'.' if places else ''}{places}",
    st.sampled_from(["", "-"]),
    st.text("0123456789", min_size=1, max_size=60),
    st.text("0123456789", max_size=60) | st.just("0" * 500 + "1") | st.just("0000"),
    st.integers(0, 8) | st.sampled_from([1000, 60_000]),
)


@given(st.lists(numbers | st.sampled_from(["NaN", "Infinity", "-Infinity"]), min_size=1, max_size=20))
def test_numeric(db: Connection, texts: list[str]) -> None:
    for ours, theirs in values(db, "numeric", texts, "v::text"):
        assert lost(ours) if theirs in ("NaN", "Infinity", "-Infinity") else kept(ours) == theirs


@given(st.lists(st.integers(-(10**20), 10**20), min_size=1), st.integers(-3, 10))
def test_numeric_with_a_scale(db: Connection, whole: list[int], scale: int) -> None:
    for ours, theirs in values(db, f"numeric(40,{scale})", [str(number) for number in whole], "v::text"):
        assert kept(ours) == theirs


@given(st.lists(st.floats(width=64), min_size=1, max_size=50))
@example([2.0**53, 9007199254740993.0, 1e22, 1e23, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308])
def test_float8(db: Connection, floats: list[float]) -> None:
    for number, (ours, theirs) in zip(floats, values(db, "float8", [repr(x) for x in floats], "v::text"), strict=True):
        if not math.isfinite(number):
            assert lost(ours)
            continue
        assert struct.pack("d", json.loads(kept(ours))) == struct.pack("d", float(theirs)) == struct.pack("d", number)
        assert digits(kept(ours)) <= digits(theirs)


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
@example(
    [2.0**-96, 2.0**87, 2.0**90, 2.0**-12, 3.4028234663852886e38, 1e-45, 16777216.0, 33554432.0, 1.1754943508222875e-38]
)
def test_float4(db: Connection, floats: list[float]) -> None:
    """PostgreSQL's own form never has fewer digits, and reads ours as the same number."""
    made = values(db, "float4", [repr(number) for number in floats], "v::text")
    texts = [kept(ours) for ours, theirs in made if math.isfinite(float(theirs))]
    again = iter([back for _, back in values(db, "float4", texts, "v::text")] if texts else [])
    for ours, theirs in made:
        if math.isfinite(float(theirs)):
            assert next(again) == theirs
            assert digits(kept(ours)) <= digits(theirs)
        else:
            assert lost(ours)


def digits(text: str) -> int:
    return len(Decimal(text).normalize().as_tuple().digits)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_int8(db: Connection, whole: list[int]) -> None:
    for number, (ours, _) in zip(whole, values(db, "int8", [str(x) for x in whole], "''"), strict=True):
        assert kept(ours) == str(number)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(texts, min_size=1))
def test_text(db: Connection, strings: list[str]) -> None:
    for string, (ours, theirs) in zip(strings, values(db, "text", strings, "to_json(v)::text"), strict=True):
        assert json.loads(kept(ours)) == string
        assert kept(ours) == re.sub("[\x7f]", lambda _: "\x7f", theirs)


years = st.integers(1, 9999) | st.integers(-4712, 294_276) | st.integers(-4, 4)
clocks = st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999_999))


def date_text(year: int, month: int, day: int, clock: str = "") -> str:
    return f"{year if year > 0 else 1 - year:04}-{month:02}-{day:02}{clock}{'' if year > 0 else ' BC'}"


def clock_text(hours: int, minutes: int, seconds: int, micros: int) -> str:
    return f"{hours:02}:{minutes:02}:{seconds:02}.{micros:06}"


dates = st.builds(date_text, years, st.integers(1, 12), st.integers(1, 28))
timestamps = st.builds(
    lambda year, month, day, clock: date_text(year, month, day, " " + clock_text(*clock)),
    years,
    st.integers(1, 12),
    st.integers(1, 28),
    clocks,
)


@given(st.lists(dates, min_size=1))
def test_date(db: Connection, moments: list[str]) -> None:
    for ours, theirs in values(db, "date", moments, "to_json(v)::text"):
        assert kept(ours) == theirs


@given(st.lists(st.integers(-2_451_507, 2_145_031_948), min_size=1))
@example([-730_119, -730_120, -730_119 - 366, 146_096, 146_097, -1, 0, 59, 60, 36_584, 36_585])
def test_any_day(db: Connection, days: list[int]) -> None:
    made = values(db, "int", [str(day) for day in days], "to_json('2000-01-01'::date + v)::text")
    select = f"SELECT '2000-01-01'::date + v AS v FROM unnest('{{{','.join(map(str, days))}}}'::int[]) v"
    for line, (_, theirs) in zip(read(db, select, cached_columns(db, "date")), made, strict=True):
        assert line == f'{{"v":{theirs}}}'


@given(st.lists(timestamps, min_size=1))
def test_timestamps(db: Connection, moments: list[str]) -> None:
    for ours, theirs in values(db, "timestamp", moments, "to_json(v)::text"):
        assert kept(ours) == theirs
    for ours, theirs in values(db, "timestamptz", moments, "to_json(v)::text"):
        assert kept(ours) == theirs.replace("+00:00", "Z")


@given(
    st.lists(st.builds(clock_text, st.integers(0, 23), *[st.integers(0, 59)] * 2, st.integers(0, 999_999)), min_size=1)
)
def test_time(db: Connection, moments: list[str]) -> None:
    for ours, theirs in values(db, "time", moments, "to_json(v)::text"):
        assert kept(ours) == theirs


offsets = st.builds(
    lambda sign, *parts: sign + ":".join(f"{part:02}" for part in parts),
    st.sampled_from("+-"),
    st.integers(0, 15),
    st.integers(0, 59),
    st.integers(0, 59) | st.just(0),
)


@given(st.lists(st.builds(lambda clock, offset: clock_text(*clock) + offset, clocks, offsets), min_size=1))
def test_timetz(db: Connection, moments: list[str]) -> None:
    for ours, theirs in values(db, "timetz", moments, "v::text"):
        padded = theirs if re.search(r"[+-]\d\d:", theirs) else f"{theirs}:00"
        assert kept(ours) == f'"{padded}"'


small = st.integers(-30, 30)
intervals = st.builds(
    lambda months, days, micros: f"{months} months {days} days {micros} microseconds",
    small | st.integers(-(2**31) + 1, 2**31 - 1),
    small | st.integers(-(2**31) + 1, 2**31 - 1),
    st.just(0) | small | st.integers(-(10**12), 10**12) | st.integers(-(2**62), 2**62),
)


@given(st.lists(intervals, min_size=1))
def test_interval(db: Connection, spans: list[str]) -> None:
    for ours, theirs in values(db, "interval", spans, "v::text"):
        assert kept(ours) == f'"{theirs}"'


words = st.sampled_from([0, 0, 0, 1, 2, 0xFFFF, 0x1234]) | st.integers(0, 0xFFFF)
addresses = st.builds(lambda number: str(IPv4Address(number)), st.integers(0, 2**32 - 1)) | st.lists(
    words, min_size=8, max_size=8
).map(lambda parts: str(IPv6Address(struct.pack(">8H", *parts))))
networks = st.builds(lambda address, bits: f"{address}/{bits}" if bits else address, addresses, st.integers(0, 32))


@given(st.lists(networks, min_size=1))
@example(["::", "::1", "::2", "::ffff:0:0", "::fffe:0:0", "::1:0:0", "::1:0", "1::", "0:0:1::", "::ffff:1.2.3.4/128"])
def test_inet(db: Connection, texts: list[str]) -> None:
    for ours, theirs in values(db, "inet", texts, "to_json(v)::text"):
        assert kept(ours) == theirs
    cidrs = db.execute("SELECT network(v::inet)::text FROM unnest(%s::text[]) v", [texts]).fetchall()
    for ours, theirs in values(db, "cidr", [text for (text,) in cidrs], "to_json(v)::text"):
        assert kept(ours) == theirs


@given(st.lists(st.binary(max_size=50), min_size=1))
def test_bytes_bits_and_ids(db: Connection, contents: list[bytes]) -> None:
    bits = ["".join(f"{byte:b}" for byte in content) for content in contents]
    for pg_type, texts in {
        "bytea": ["\\x" + content.hex() for content in contents],
        "varbit": bits,
        "uuid": [content.hex().ljust(32, "0")[:32] for content in contents],
        "macaddr": [content.hex().ljust(12, "0")[:12] for content in contents],
        "macaddr8": [content.hex().ljust(16, "0")[:16] for content in contents],
        "pg_lsn": [f"{content[:4].hex() or 0}/{content[4:8].hex() or 0}" for content in contents],
    }.items():
        for ours, theirs in values(db, pg_type, texts, "to_json(v)::text"):
            assert kept(ours) == theirs


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)


@given(st.lists(documents, min_size=1, max_size=10), st.sampled_from([None, 1, "\t", "\r\n"]), st.booleans())
def test_json(db: Connection, found: list[Any], indent: int | str | None, ascii_only: bool) -> None:
    texts = [json.dumps(document, indent=indent, ensure_ascii=ascii_only) for document in found]
    for text, (ours, _) in zip(texts, values(db, "json", texts, "''"), strict=True):
        assert kept(ours) == text.replace("\r", " ").replace("\n", " ")
    for ours, theirs in values(db, "jsonb", texts, "v::text"):
        assert kept(ours) == theirs


@given(st.lists(st.dictionaries(texts, texts | st.none(), max_size=5), min_size=1, max_size=10))
def test_hstore(db: Connection, maps: list[dict[str, str | None]]) -> None:
    def quoted(text: str | None) -> str:
        return "NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    made = [", ".join(f"{quoted(key)}=>{quoted(item)}" for key, item in pairs.items()) for pairs in maps]
    for pairs, (ours, theirs) in zip(maps, values(db, "ext.hstore", made, "ext.hstore_to_json(v)::text"), strict=True):
        assert json.loads(kept(ours)) == pairs
        assert list(json.loads(kept(ours))) == list(json.loads(theirs))


@st.composite
def grids(draw: st.DrawFn, element: st.SearchStrategy[Any]) -> Any:
    """Lists in one to four dimensions, with nulls."""
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))

    def level(lengths: list[int]) -> Any:
        return [level(lengths[1:]) for _ in range(lengths[0])] if lengths else draw(element | st.none())

    return level(shape)


def array_text(value: Any) -> str:
    if isinstance(value, list):
        return "{" + ",".join(map(array_text, value)) + "}"
    return "NULL" if value is None else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize("pg_type", ["int4", "text", "numeric", "bool"])
@given(data=st.data())
@settings(max_examples=50)
def test_arrays(db: Connection, pg_type: str, data: st.DataObject) -> None:
    elements: dict[str, st.SearchStrategy[Any]] = {
        "int4": st.integers(-(2**31), 2**31 - 1),
        "text": texts,
        "numeric": st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**12), max_value=10**12),
        "bool": st.booleans(),
    }
    found: list[Any] = data.draw(st.lists(grids(elements[pg_type]) | st.just([]), min_size=1, max_size=5))
    made = values(db, f"{pg_type}[]", [array_text(grid) for grid in found], "to_json(v)::text")
    for grid, (ours, theirs) in zip(found, made, strict=True):
        assert exact(kept(ours)) == exact(theirs)
        assert str(exact(kept(ours))) == str(exact(theirs))
        assert json.loads(kept(ours), parse_float=Decimal) == grid


@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20), min_size=1)
)
@settings(max_examples=50)
def test_vector(db: Connection, vectors: list[list[float]]) -> None:
    made = values(db, "ext.vector", [str(vector) for vector in vectors], "v::text")
    for vector, (ours, theirs) in zip(vectors, made, strict=True):
        assert [struct.pack("f", number) for number in json.loads(kept(ours))] == [struct.pack("f", x) for x in vector]
        assert len(json.loads(theirs)) == len(vector)


@given(st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
@settings(max_examples=50)
def test_halfvec(db: Connection, numbers: list[float]) -> None:
    ((ours, theirs),) = values(db, "ext.halfvec", [str(numbers)], "v::text")
    assert json.loads(kept(ours)) == json.loads(theirs)
    assert [struct.pack("e", number) for number in json.loads(kept(ours))] == [struct.pack("e", x) for x in numbers]


def test_a_table_of_1600_columns_and_one_of_none(db: Connection) -> None:
    names = ", ".join(f'"c{number}" int DEFAULT {number}' for number in range(1600))
    db.execute(f"CREATE TEMP TABLE wide ({names}); INSERT INTO wide DEFAULT VALUES".encode())
    select = "SELECT * FROM wide"
    (line,) = read(db, select, columns_of(db, select))
    assert json.loads(line) == {f"c{number}": number for number in range(1600)}
    db.execute("CREATE TEMP TABLE nothing (); INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES")
    assert read(db, "SELECT FROM nothing", []) == ["{}", "{}"]


def test_hostile_column_names(db: Connection) -> None:
    names = ['a"b', "a\\b", "{}", "%s", "select", "r", "q", "😀", "한" * 21, "\n\t", " ", "a{0}b", "x" * 63]
    columns = "(" + ", ".join(sql.Identifier(name).as_string(db) for name in names) + ")"
    rows = f"SELECT * FROM (VALUES ({', '.join(map(str, range(len(names))))})) t {columns}"
    (line,) = read(db, rows, columns_of(db, rows))
    assert list(json.loads(line).items()) == [(name, number) for number, name in enumerate(names)]


def test_a_row_of_40_mb(db: Connection) -> None:
    select = "SELECT 1 AS a, repeat('한글\n', 6000000) AS b, repeat(chr(1), 1000) AS c"
    (line,) = read(db, select, columns_of(db, select))
    found = json.loads(line)
    assert found["b"] == "한글\n" * 6_000_000
    assert found["c"] == "\1" * 1000
