"""A kubeconfig by its shape, before the cluster's library reads it: none of its values is quoted.

What the library says of one may hold what stands there, or what a login program has printed.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Base64Bytes, BaseModel, Field, ValidationError

from flows.delivery.targets.target import TargetRefused
from flows.formats.problems import InputError
from flows.formats.text_file import read_utf8
from flows.formats.yaml_file import MANIFEST_RULES, parse_yaml

_LARGEST = 16 << 20
_LISTS = {"contexts": "context", "clusters": "cluster", "users": "user"}
_CODE = re.compile(r"exec: process returned (-?\d+)")
_Entry = tuple[Path, Any]


class _NotOneWord(ValueError):
    """No token."""


def one_word(text: str) -> str:
    """A token, as a header carries it. Raises ValueError."""
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise _NotOneWord("a token must be one word of printable ASCII characters")
    return text


def _one_line(text: str) -> str:
    if not text.isprintable() or any(ord(character) > 255 for character in text):
        raise ValueError("must be one line of Latin-1 characters")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or any(character.isspace() for character in text):
        raise ValueError("must be a URL such as https://host:6443")
    return text


class _Variable(BaseModel):
    name: str
    value: str


class _Program(BaseModel):
    version: str = Field(alias="apiVersion")
    command: str
    args: list[str] | None = None
    env: list[_Variable] | None = None


_Word = Annotated[str, AfterValidator(one_word)]
_Line = Annotated[str, AfterValidator(_one_line)]
_Url = Annotated[str, AfterValidator(_url)]


class _User(BaseModel):
    token: _Word | None = None
    username: _Line | None = None
    password: _Line | None = None
    certificate: Base64Bytes | None = Field(None, alias="client-certificate-data")
    key: Base64Bytes | None = Field(None, alias="client-key-data")
    exec: _Program | None = None


class _Cluster(BaseModel):
    server: _Url
    proxy: _Url | None = Field(None, alias="proxy-url")
    authority: Base64Bytes | None = Field(None, alias="certificate-authority-data")


class _Context(BaseModel):
    cluster: str
    user: str


_Model = TypeVar("_Model", bound=BaseModel)


def check_kubeconfig(written: str | None, context: str | None) -> str | None:
    """The program that logs in, if the file names one.

    written: paths as KUBECONFIG has them, or None for that, or for the file where it usually is.
    context: None for the current one. Raises TargetRefused with the file, and the field.
    """
    named = written or os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(path).expanduser() for path in named.split(os.pathsep) if path]
    files = [(path, _read(path)) for path in paths if path.exists()]
    if not files:
        raise TargetRefused(f"{named}: no such file")
    currents = (data.get("current-context") for _, data in files)
    chosen = context or next((str(name) for name in currents if name), None)
    if chosen is None:
        raise TargetRefused(f"{named}: current-context: is missing")
    used = _valid(_Context, "contexts", chosen, files)
    _valid(_Cluster, "clusters", used.cluster, files)
    user = _valid(_User, "users", used.user, files)
    return user.exec.command if user.exec else None


def _read(path: Path) -> dict[str, Any]:
    try:
        text = read_utf8(path, largest=_LARGEST)
    except InputError as error:
        raise TargetRefused(str(error)) from error
    try:
        documents = parse_yaml(text, str(path), MANIFEST_RULES)
    except InputError as error:
        # What it says may hold a word of the file.
        line = error.problems[0].line
        raise TargetRefused(f"{path}:{line}: can't be read as YAML") from None
    data = documents[0].data if documents else None
    if not isinstance(data, dict):
        raise TargetRefused(f"{path}: is no kubeconfig: kubectl config view shows one")
    return data


def _valid(model: type[_Model], kind: str, name: str, files: list[tuple[Path, Any]]) -> _Model:
    """What the first file that has it says under the name."""
    for path, data in files:
        listed = data.get(kind) or []
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise TargetRefused(f"{path}: {kind}: must be a list of names and what they are")
        for one in listed:
            if one.get("name") == name:
                return _shaped(model, f"{path}: {kind}.{name}", one.get(_LISTS[kind]))
    raise TargetRefused(f"{files[0][0]}: {kind}: has none called {name!r}")


def _shaped(model: type[_Model], where: str, data: Any) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = "".join(f".{part}" for part in wrong["loc"])
        said = wrong["msg"].removeprefix("Value error, ")
        raise TargetRefused(f"{where}{field}: {said}") from None


def login_problem(error: Exception) -> str:
    """What is wrong, without words of the library's that may hold a field's value."""
    said = str(error)
    if isinstance(error, _NotOneWord) or said.startswith("File does not exist: "):
        return said
    return f"a field of the kubeconfig can't be used ({type(error).__name__})"


@contextmanager
def login_messages() -> Iterator[list[str]]:
    """What the library logs of a login program, in place of its log: how the program ended."""
    said = list[str]()

    def keep(record: logging.LogRecord) -> bool:
        if record.module != "kube_config":
            return True
        code = _CODE.match(record.getMessage())
        said.append(f"ended with {code[1]}" if code else "printed no login")
        return False

    # It logs to the root, whose filters see what is logged there only.
    root = logging.getLogger()
    root.addFilter(keep)
    try:
        yield said
    finally:
        root.removeFilter(keep)
