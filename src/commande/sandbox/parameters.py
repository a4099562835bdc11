"""Strict checks of request parameters, with Stripe's error shapes.

A form body becomes nested dictionaries (`line_items[0][quantity]=2`); a tree of kinds then checks
and converts it. Values may already be typed, for callers inside the process.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, Protocol
from urllib.parse import parse_qsl

from commande.sandbox.errors import Refusal

_MOST_FIELDS = 10_000
_DEEPEST = 8
_URL = re.compile(
    r"https?://([^\s/?#@]*@)?(\[[0-9a-fA-F:.]+\]|[^\s/?#@:\[\]]+)(:[0-9]{1,5})?([/?#][^\x00-\x20\x7f]*)?",
    re.IGNORECASE,
)
_MAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_DIGITS = re.compile(r"[+-]?[0-9]{1,18}")


def parse_form(raw: bytes | str) -> dict[str, Any]:
    """Read a form body or query string into nested dictionaries and lists."""
    text = raw.decode("utf-8", "strict") if isinstance(raw, bytes) else raw
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError as error:
        raise Refusal("Invalid request: the body is no form.") from error
    nested: dict[str, Any] = {}
    for key, value in pairs:
        _place(nested, key, value)
    return nested


def _place(nested: dict[str, Any], key: str, value: str) -> None:
    if "[" not in key:
        nested[key] = value
        return
    first, *rest = key.split("[")
    path = [first, *(part.removesuffix("]") for part in rest)]
    if len(path) > _DEEPEST:
        raise Refusal("Invalid request: parameters are nested too deep.")
    spot: Any = nested
    for part, following in pairwise(path):
        if not isinstance(spot, dict):
            raise Refusal(f"Invalid parameter: {key}", param=key)
        spot = spot.setdefault(part, [] if following == "" else {})
    if isinstance(spot, list):
        spot.append(value)
    elif isinstance(spot, dict):
        spot[path[-1]] = value
    else:
        raise Refusal(f"Invalid parameter: {key}", param=key)


class Kind(Protocol):
    """Checks one value; returns it converted or raises Refusal."""

    def check(self, value: Any, path: str) -> Any: ...


class Text:
    """A string of 1 to `longest` characters; `clears` also takes the empty one, as null."""

    def __init__(self, longest: int = 5000, *, clears: bool = False) -> None:
        self.longest, self.clears = longest, clears

    def check(self, value: Any, path: str) -> str | None:
        if isinstance(value, bool | dict | list) or value is None:
            raise Refusal("Invalid string: must be a string", param=path)
        text = value if isinstance(value, str) else str(value)
        if not text:
            if self.clears:
                return None
            raise empty(path)
        _check_writable(text, path)
        if len(text) > self.longest:
            shown = f"{text[:8]}...{text[-4:]}"
            raise Refusal(
                f"Invalid string: {shown}; must be at most {self.longest} characters", param=path
            )
        return text


def _check_writable(text: str, path: str) -> None:
    """Refuse what JSON cannot carry: half a surrogate pair (only callers in process have such)."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refusal("Invalid string: must be UTF-8", param=path) from None


def empty(path: str) -> Refusal:
    return Refusal(
        f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset "
        f"a parameter; however '{path}' cannot be unset. You should remove '{path}' from your "
        "request or supply a non-empty value.",
        code="parameter_invalid_empty",
        param=path,
    )


class Integer:
    def __init__(self, low: int | None = None, high: int | None = None) -> None:
        self.low, self.high = low, high

    def check(self, value: Any, path: str) -> int:
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            if value == "":
                raise empty(path)
            raise Refusal(f"Invalid integer: {value!s:.40}", code="parameter_invalid_integer",
                          param=path)  # fmt: skip
        if self.low is not None and value < self.low:
            raise Refusal(f"This value must be greater than or equal to {self.low}.",
                          code="parameter_invalid_integer", param=path)  # fmt: skip
        if self.high is not None and value > self.high:
            raise Refusal(f"This value must be less than or equal to {self.high}.",
                          code="parameter_invalid_integer", param=path)  # fmt: skip
        return value


class Number:
    """A decimal number with at most `places` decimals."""

    def __init__(self, low: int, high: int, places: int) -> None:
        self.low, self.high, self.places = low, high, places

    def check(self, value: Any, path: str) -> Decimal:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or isinstance(value, bool):
            raise Refusal(f"Invalid decimal: {value!s:.40}", param=path)
        if not self.low <= number <= self.high:
            raise Refusal(f"This value must be between {self.low} and {self.high}.", param=path)
        if -int(number.normalize().as_tuple().exponent) > self.places:
            raise Refusal(f"Invalid decimal: {value!s:.40}; must contain at maximum {self.places} "
                          "decimal places.", param=path)  # fmt: skip
        return number


class Boolean:
    def check(self, value: Any, path: str) -> bool:
        if value is True or value == "true":
            return True
        if value is False or value == "false":
            return False
        if value == "":
            raise empty(path)
        raise Refusal(f"Invalid boolean: {value!s:.40}", param=path)


class Choice:
    def __init__(self, *names: str) -> None:
        self.names = names

    def check(self, value: Any, path: str) -> str:
        if value in self.names:
            return str(value)
        if value == "":
            raise empty(path)
        listed = ", ".join(self.names[:-1])
        one_of = f"one of {listed}, or {self.names[-1]}" if listed else self.names[-1]
        name = path.rsplit("[", 1)[-1].removesuffix("]")
        raise Refusal(f"Invalid {name}: must be {one_of}", param=path)


class Address:
    """An absolute http(s) URL."""

    def check(self, value: Any, path: str) -> str:
        text = Text(5000).check(value, path) or ""
        if "://" not in text:
            raise Refusal("Invalid URL: An explicit scheme (such as https) must be provided.",
                          code="url_invalid", param=path)  # fmt: skip
        if not _URL.fullmatch(text):
            raise Refusal("Not a valid URL", code="url_invalid", param=path)
        return text


class Mail:
    def check(self, value: Any, path: str) -> str:
        text = Text(800).check(value, path) or ""
        if not _MAIL.fullmatch(text):
            raise Refusal(f"Invalid email address: {text:.100}", code="email_invalid", param=path)
        return text


class Hash:
    """An object whose fields are known; any other is refused by name."""

    def __init__(self, fields: Mapping[str, Kind], required: Iterable[str] = ()) -> None:
        self.fields, self.required = dict(fields), tuple(required)
        self.names = frozenset(self.fields)

    def check(self, value: Any, path: str = "") -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Refusal("Invalid object", param=path)
        if not value.keys() <= self.names:
            raise _unknown([_inside(path, name) for name in value if name not in self.names])
        for name in self.required:
            if name not in value:
                spot = _inside(path, name)
                raise Refusal(f"Missing required param: {spot}.", code="parameter_missing",
                              param=spot)  # fmt: skip
        fields = self.fields
        if path:
            return {k: fields[k].check(v, f"{path}[{k}]") for k, v in value.items()}
        return {k: fields[k].check(v, k) for k, v in value.items()}


def _inside(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else str(name)


def _unknown(spots: list[str]) -> Refusal:
    word = "parameter" if len(spots) == 1 else "parameters"
    return Refusal(f"Received unknown {word}: {', '.join(spots)}", code="parameter_unknown",
                   param=spots[0])  # fmt: skip


class Array:
    """A list of `fewest` to `most` values; indexes of a form body become its order."""

    def __init__(self, of: Kind, fewest: int = 0, most: int = 1000) -> None:
        self.of, self.fewest, self.most = of, fewest, most

    def check(self, value: Any, path: str) -> list[Any]:
        if isinstance(value, dict) and all(str(key).isdecimal() for key in value):
            value = [value[key] for key in sorted(value, key=int)]
        if not isinstance(value, list | tuple):
            raise Refusal("Invalid array", param=path)
        if len(value) > self.most:
            raise Refusal(f"Invalid array: can have at most {self.most} elements.", param=path)
        if len(value) < self.fewest:
            raise Refusal(f"Invalid array: must have at least {self.fewest} elements.", param=path)
        return [self.of.check(item, f"{path}[{index}]") for index, item in enumerate(value)]


class Metadata:
    """Up to 50 keys of 40 characters with values of 500; the empty string unsets (null)."""

    def check(self, value: Any, path: str) -> dict[str, str] | None:
        if value == "":
            return None
        if not isinstance(value, dict):
            raise Refusal("Invalid object", param=path)
        if len(value) > 50:
            raise Refusal(f"Metadata can have up to 50 keys, but you passed in {len(value)}.",
                          param=path)  # fmt: skip
        for key, text in value.items():
            _check_entry(key, text, path)
        return {key: str(text) for key, text in value.items()}


def _check_entry(key: str, text: Any, path: str) -> None:
    spot = f"{path}[{key}]"
    if len(key) > 40:
        raise Refusal(f"Metadata keys can have up to 40 characters, but you passed in a key that "
                      f"is {len(key)} characters. Invalid key: {key}", param=spot)  # fmt: skip
    if isinstance(text, dict | list | bool) or text is None:
        raise Refusal("Invalid string: must be a string", param=spot)
    _check_writable(f"{key}{text}", spot)
    if len(str(text)) > 500:
        raise Refusal(f"Metadata values can have up to 500 characters, but you passed in a value "
                      f"that is {len(str(text))} characters. Invalid value: {text}",
                      param=spot)  # fmt: skip


class Only:
    """A parameter of Stripe's of which the stand-in plays only the values that change nothing."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def check(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            value = {"true": True, "false": False}.get(value, value)
        if value in self.values:
            return value
        raise Refusal(
            f"The stand-in does not play `{path}` (Stripe itself may). Leave it out"
            + (f" or send {self.values[0]!r}." if self.values else "."),
            code="not_played_by_the_stand_in",
            param=path,
        )
