"""Connection strings are taken apart; a malformed one is told without any part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.formats.safe_text import safe_text
from flows.ingest.sources.postgres_dsn import MalformedDsn, parse_dsn

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "address", "password"),
    [
        ("postgresql://u:p%40ss@h:5432/db?sslmode=require", "h:5432/db", "p@ss"),
        ("postgres://h/db", "h/db", None),
        ("postgresql://u:hunt:er@h/db", "h/db", "hunt:er"),
        ("postgresql:///db?host=/tmp/sock&user=x", "/tmp/sock/db", None),
        ("postgresql://u:pw@[::1]:55/db", "::1:55/db", "pw"),
        ("postgresql://u:pw@h1:1,h2:2/db", "h1,h2:1,2/db", "pw"),
        ("host=h port=5432 dbname='my db' password='it\\'s'", "h:5432/my db", "it's"),
        ("host=h password=a\\ b dbname=d", "h/d", "a b"),
    ],
)
def test_a_connection_string_is_taken_apart(text: str, address: str, password: str | None) -> None:
    dsn = parse_dsn(text)
    assert (dsn.address, dsn.fields.get("password")) == (address, password)
    assert parse_dsn(dsn.text({"connect_timeout": "10"})).fields == dsn.fields | {
        "connect_timeout": "10"
    }


MALFORMED = (
    f"postgresql://u:{SECRET}#x@h/db",
    f"postgresql://u:{SECRET}/x@h/db",
    f"postgresql://u:12/{SECRET}@h/db",
    f"postgresql://u:{SECRET}?x@h/db",
    f"postgresql://u:12?{SECRET}@h/db",
    f"postgresql://u:x@{SECRET}@h/db",
    f"postgresql//u:{SECRET}@h/db",
    f"u:{SECRET}@h/db",
    f"host=h password=a {SECRET}",
    f"password = '{SECRET}",
    f"postgresql://u:{SECRET}@h:port/db",
    f"postgresql://u:{SECRET}@h:99999/db",
    f"mysql://u:{SECRET}@h/db",
    f"postgresql://u:%{SECRET}@h/db",
    f"postgresql://u:{SECRET}@h/db?{SECRET}=bar",
    f"postgresql://u:{SECRET}@h/db?sslmode",
    f"postgresql://u:{SECRET} x@h/db",
    f"postgresql:// u:{SECRET}@h/db",
    f"jdbc:postgresql://u:{SECRET}@h/db",
    f"postgresql://u:[{SECRET}@h/db",
    f"postgresql://u:{SECRET}:h/db",
    f"host=h port={SECRET}",
    f"host=h dbname=u:{SECRET}@h/db",
    f"host=h dbname=postgresql://u:{SECRET}@h/db",
    f"host=h dbname='user=u password={SECRET}'",
    f"host=u:{SECRET}@h dbname=db",
    f"postgresql://h/db?host=u:{SECRET}%40h",
    f"postgresql://h/u:{SECRET}%40h",
    SECRET,
    "postgresql://u:\x01@h/db",
)


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_malformed_is_never_quoted(text: str) -> None:
    with pytest.raises(
        MalformedDsn, match="it must be such as postgresql://user:password@"
    ) as told:
        parse_dsn(text)
    assert SECRET not in str(told.value)
    assert told.value.__cause__ is None


@pytest.mark.parametrize("between", ["%3A", ";", "%3D", ",", "%2F"])
def test_a_password_in_a_users_place_is_hidden(between: str) -> None:
    """A server quotes the user that it doesn't know."""
    user = parse_dsn(f"postgresql://me{between}Zugvogel-8c1@h/db").fields["user"]
    assert user != "me"
    assert "Zugvogel" not in safe_text(f'role "{user}" does not exist')


@pytest.mark.parametrize(
    ("text", "service", "port"),
    [
        ("service=quiz port=7", "", "7"),
        ("service=quiz", "", "6001,6002"),
        ("dbname=x", "quiz", "6001,6002"),
        ("postgresql://?service=of_all", "quiz", "6003"),
        ("dbname=x", "", ""),
        ("service=silent", "", ""),
        ("service=odd", "", ""),
        ("service=nowhere", "", ""),
    ],
)
def test_a_service_has_its_port_as_libpq_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, service: str, port: str
) -> None:
    own = "[quiz]\nhost=a,b\nport=6001,6002\npassword=50%\n[silent]\n# port=1\n[odd]\nport=x\n"
    (tmp_path / "own.conf").write_text(own)
    (tmp_path / "pg_service.conf").write_text("[quiz]\nport=1\n[of_all]\nport=6003\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "own.conf"))
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path))
    monkeypatch.setenv("PGSERVICE", service)
    assert parse_dsn(text).ports == port


@pytest.mark.parametrize("content", ["no section = 1\n", "[quiz\n", "\udcff", None])
def test_a_file_of_services_that_cant_be_read_is_left_to_libpq(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "own.conf"
    if content is not None:
        file.write_bytes(content.encode(errors="surrogateescape"))
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path))
    assert parse_dsn("service=quiz").ports == ""
