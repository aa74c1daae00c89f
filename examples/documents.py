"""Documents in English and Korean for a table: always the same, of mixed types and sizes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from connector_parts import Database

TABLE = """
create table documents (
    id bigint primary key,
    language text not null,
    title text not null,
    body text not null,
    tags text[] not null,
    score numeric(6, 3),
    metadata jsonb not null,
    published date,
    updated_at timestamptz not null
);
comment on table documents is 'What a language model is to read';
"""
ENGLISH = (
    "the river of data runs past every house and nobody writes it down so we keep a small book with names dates "
    "questions answers and the reasons for each choice that somebody made before us"
).split()
KOREAN = (
    "문서는 강물처럼 흐르고 우리는 작은 공책에 이름과 날짜와 질문과 대답을 적는다 "
    "데이터는 집마다 지나가지만 아무도 기록하지 않으니 선택의 이유를 남긴다"
).split()


def paragraphs(words: list[str], chance: Random) -> list[str]:
    """A stock of sentences to build documents from, between 3 and 40 words each."""
    return [" ".join(chance.choices(words, k=chance.randint(3, 40))).capitalize() + "." for _ in range(2000)]


def documents(rows: int) -> Iterator[tuple[Any, ...]]:
    """Always the same documents: most of them a few hundred bytes, some of many kilobytes."""
    chance = Random(20)
    stock = {"en": paragraphs(ENGLISH, chance), "ko": paragraphs(KOREAN, chance)}
    for number in range(1, rows + 1):
        language = chance.choice(("en", "en", "ko"))
        body = "\n\n".join(chance.choices(stock[language], k=min(200, int(chance.lognormvariate(0.8, 0.9)) + 1)))
        metadata = json.dumps({"source": chance.choice(("web", "chat", "mail")), "parts": number % 7, "draft": None})
        tags = chance.sample(["news", "howto", "law", "health", "모음", 'quote"d'], k=number % 4)
        score = None if number % 50 == 0 else round(chance.random() * 1000, 3)
        day = f"20{chance.randint(10, 25)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        yield (
            number,
            language,
            body[:40],
            body,
            tags,
            score,
            metadata,
            day,
            f"{day} 12:00:00.{number % 1_000_000:06}+09",
        )


def fill(database: Database, rows: int) -> None:
    """Make the table `documents` and put so many rows into it."""
    with database.connect(autocommit=False) as connection:
        connection.execute(TABLE.encode())
        with connection.cursor().copy("copy documents from stdin") as copy:
            for row in documents(rows):
                copy.write_row(row)
    database.execute("create index on documents (updated_at); analyze documents")


def change(database: Database, rows: int) -> set[int]:
    """Edit some documents and add a few; give their ids."""
    edited = database.execute(
        "update documents set title = 'Edited: ' || title, updated_at = now() where id % 150 = 7 returning id"
    )
    added = database.execute(
        "insert into documents select id + %s, 'ko', '새 문서', body, tags, score, metadata, published, now() "
        "from documents where id <= 100 returning id",
        [rows],
    )
    return {number for (number,) in edited + added}
