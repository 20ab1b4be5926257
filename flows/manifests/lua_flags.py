"""Rules of feature flags in Lua, where they are plain: a share of the users by their id."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.manifests.found_strategy import label_of

_HEADER = re.compile(r"(\w+)\s*=\s*\w+:headers\(\):get\(\s*[\"']([\w-]+)[\"']\s*\)")
_GROUP = re.compile(r"(\w+)\s*==\s*[\"']([\w .-]+)[\"']")
_LESS = re.compile(r"(\w[\w.()]*)\s*%\s*(\d{1,6})\s*(<=|<)\s*(\d{1,6})")
_LAST_BYTE = re.compile(r"(\w+)\s*=\s*string\.byte\(\s*(\w+)\s*,\s*-1\s*\)")
_SET = re.compile(
    r":headers\(\):(?:add|replace)\(\s*[\"']([\w-]+)[\"']\s*(?:,\s*[\"']([\w.-]*)[\"'])?"
)


@dataclass(frozen=True, slots=True)
class LuaFlag:
    """Fields of `strategy`, what they rest on, what isn't known, and the headers that tell."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def lua_flag(code: str) -> LuaFlag:
    """The rule `VALUE % N < K`, with the groups that it is for, and its bias on usual ids."""
    plain = re.sub(r"--\[\[.*?\]\]|--[^\n]*", "", code, flags=re.DOTALL)
    rules, flags = _LESS.findall(plain), _SET.findall(plain)
    if len(rules) != 1 or not flags:
        doubt = "its Lua isn't of the form `id % 100 < 30`: set enabled, label and groups"
        return LuaFlag(doubts=(doubt,))
    value, of, sign, below = rules[0]
    count = int(below) + (sign == "<=")
    if not 0 < count <= int(of):
        return LuaFlag(doubts=(f"its Lua has {value} % {of} {sign} {below}: never, or always",))
    headers = dict(_HEADER.findall(plain))
    groups: dict[str, list[str]] = {}
    for name, wanted in _GROUP.findall(plain):
        if name in headers:
            groups.setdefault(headers[name], []).append(wanted)
    fields: dict[str, Any] = {"enabled": f"{100 * count / int(of):g}%"}
    doubts = []
    if groups:
        header, listed = next(iter(groups.items()))
        fields |= {"label": label_of(header), "groups": listed}
    if len(groups) > 1:
        doubts.append(f"it asks for {' and '.join(groups)}; one label is audited")
    if (last := _LAST_BYTE.search(plain)) and last[1] == value:
        doubts += _bias(int(of), count)
    flag, set_to = flags[0]
    settings = (f"sets {flag} where {value} % {of} {sign} {below}",)
    headers_read = dict.fromkeys(list(groups)[:1], "")
    return LuaFlag(fields, settings, tuple(doubts), {**headers_read, flag: set_to})


def _bias(of: int, count: int) -> list[str]:
    """What a rule on the last character gives on ids of digits and of hexadecimal digits."""
    shares = [
        sum(ord(one) % of < count for one in alphabet) / len(alphabet)
        for alphabet in (string.digits, string.hexdigits[:16])
    ]
    said = f"of ids that end in digits that is {shares[0]:.1%}, of UUIDs {shares[1]:.1%}"
    return [f"the rule is on the last character's code: {said}"]
