"""PostgreSQL connection strings, taken apart: what is wrong in one is said without quoting it."""

from __future__ import annotations

import os
import re
from configparser import ConfigParser
from configparser import Error as NotReadable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from flows.formats.problems import InputError
from flows.formats.safe_text import hide
from flows.formats.text_file import read_utf8

_SCHEMES = ("postgresql", "postgres")
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_KEYWORDS = frozenset(
    {"host", "hostaddr", "port", "dbname", "user", "password", "passfile", "require_auth"}
    | {"channel_binding", "connect_timeout", "client_encoding", "options", "application_name"}
    | {"fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval"}
    | {"keepalives_count", "tcp_user_timeout", "replication", "gssencmode", "sslmode"}
    | {"requiressl", "sslnegotiation", "sslcompression", "sslcert", "sslkey", "sslpassword"}
    | {"sslcertmode", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "requirepeer"}
    | {"ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"}
    | {"gssdelegation", "service", "servicefile", "target_session_attrs", "load_balance_hosts"}
)
_SECRETS = ("password", "sslpassword")
_PLACES = ("host", "hostaddr", "dbname", "service")
_PAIR = re.compile(r"\s*([a-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)", re.DOTALL)
_EXAMPLE = "postgresql://user:password@host:5432/database"
_PORTS = re.compile(r"([0-9]{1,5}(,|$))*")
_LARGEST_FILE = 1 << 20
# Where Debian's libpq looks after the user's own; PGSYSCONFDIR says another folder.
_SYSTEM_FOLDER = "/etc/postgresql-common"


class MalformedDsn(ValueError):
    """No connection string; the message says what is wrong, and never a part of it."""


@dataclass(frozen=True, slots=True)
class Dsn:
    """What a connection string says, by libpq's keywords."""

    fields: dict[str, str]

    @property
    def address(self) -> str:
        """Host, port and database."""
        said = self.fields
        host = said.get("host") or said.get("hostaddr") or ""
        port = f":{said['port']}" if said.get("port") else ""
        database = f"/{said['dbname']}" if said.get("dbname") else ""
        return f"{host}{port}{database}"

    @property
    def ports(self) -> str:
        """Its own or its service's, in libpq's order; empty where neither says any."""
        return self.fields.get("port") or _port_of_service(self.fields)

    def text(self, defaults: dict[str, str]) -> str:
        """In the keyword form, as libpq reads it; defaults: for keywords that it doesn't have."""
        return " ".join(
            f"{name}={_quoted(value)}" for name, value in (defaults | self.fields).items()
        )


def are_ports(text: str) -> bool:
    """Whether these are ports, as PGPORT and a service may have them."""
    return _PORTS.fullmatch(text) is not None


def _port_of_service(fields: dict[str, str]) -> str:
    """What the file of services says; what can't be read in it libpq tells by itself.

    https://www.postgresql.org/docs/current/libpq-pgservice.html
    """
    name = fields.get("service") or os.environ.get("PGSERVICE", "")
    own = fields.get("servicefile") or os.environ.get("PGSERVICEFILE") or "~/.pg_service.conf"
    folder = os.environ.get("PGSYSCONFDIR") or _SYSTEM_FOLDER
    for file in (Path(own).expanduser(), Path(folder) / "pg_service.conf") if name else ():
        found = ConfigParser(interpolation=None, strict=False, delimiters="=", comment_prefixes="#")
        with suppress(InputError, OSError, NotReadable):
            found.read_string(read_utf8(file, largest=_LARGEST_FILE))
        if found.has_section(name):
            port = found[name].get("port", "")
            return port if are_ports(port) else ""
    return ""


def parse_dsn(text: str) -> Dsn:
    """A URI or keywords; its passwords are hidden from then on. Raises MalformedDsn."""
    written = text.strip()
    hide(written)
    try:
        fields = _of_uri(written) if "://" in written else _of_keywords(written)
    except ValueError as error:
        reason = str(error) if isinstance(error, MalformedDsn) else "it can't be read"
        raise MalformedDsn(f"{reason}; it must be such as {_EXAMPLE}") from None
    for name in _SECRETS:
        hide(fields.get(name, ""))
    if not all(value.isprintable() for value in fields.values()):
        raise MalformedDsn(f"it holds a control character; it must be such as {_EXAMPLE}")
    if any(re.search("[@=?;]|://", fields.get(name, "")) for name in _PLACES):
        # libpq would take a database's name for a connection string.
        raise MalformedDsn(f"its host or database can't be read; it must be such as {_EXAMPLE}")
    hide_login(fields.get("user", ""))
    return Dsn(fields)


def hide_login(user: str, password: str = "") -> None:
    """Lets no message show the password, nor a user that holds it, too, which servers quote."""
    hide(password)
    if not re.fullmatch(r"[\w.@-]*", user):
        for part in (user, *re.split(r"[^\w.@-]", user)[1:]):
            hide(part)


def _of_uri(text: str) -> dict[str, str]:
    if any(character.isspace() for character in text):
        raise MalformedDsn("it holds a space: write %20")
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES:
        raise MalformedDsn("it begins with neither postgresql:// nor postgres://")
    # A / ? # or @ in the password would end it early, and a part of it would be taken for another.
    if parts.fragment or "#" in text or "@" in parts.path + parts.query:
        raise MalformedDsn("a / ? # or @ in user or password is written %2F %3F %23 or %40")
    login, _, servers = parts.netloc.rpartition("@")
    if "@" in login:
        raise MalformedDsn("an @ in user or password is written %40")
    user, _, password = login.partition(":")
    hosts, ports = zip(*map(_host_and_port, servers.split(",")), strict=True)
    said = {
        "host": ",".join(hosts),
        "port": ",".join(ports) if any(ports) else "",
        "dbname": _decoded(parts.path.removeprefix("/")),
        "user": _decoded(user),
        "password": _decoded(password),
    }
    named = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    return {name: value for name, value in said.items() if value} | _checked(named)


def _host_and_port(server: str) -> tuple[str, str]:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::([0-9]*))?", server)
    if match is None:
        raise MalformedDsn("its host or port can't be read; a : in user or password is written %3A")
    host, port = _decoded(match[1]).strip("[]"), match[2] or ""
    if port and not 0 < int(port[:6]) < 65536:
        raise MalformedDsn("its port must be from 1 to 65535")
    return host, port


def _of_keywords(text: str) -> dict[str, str]:
    pairs, at = list[tuple[str, str]](), 0
    while match := _PAIR.match(text, at):
        name, value = match.groups()
        pairs.append((name, _unquoted(value)))
        at = match.end()
    if not pairs or text[at:].strip():
        raise MalformedDsn(
            "its keywords can't be read: write each as name=value, a value with spaces in '...'"
        )
    return _checked(pairs)


def _checked(pairs: list[tuple[str, str]]) -> dict[str, str]:
    if any(name not in _KEYWORDS for name, _ in pairs):
        raise MalformedDsn("it has a keyword that PostgreSQL doesn't know")
    said = dict(pairs)
    port = said.get("port", "")
    if port and not all(one.isdecimal() and one.isascii() for one in port.split(",") if one):
        raise MalformedDsn("its port must be a number")
    return said


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise MalformedDsn("a % in user or password is written %25")
    return unquote(text, errors="strict")


def _unquoted(value: str) -> str:
    inner = value[1:-1] if value.startswith("'") else value
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", r"\\").replace("'", r"\'") + "'"
