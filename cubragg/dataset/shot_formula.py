"""Functions of the shot's number i: numbers, i, + - * / **, parentheses, and exp log sin cos sqrt.

Text is parsed by recursive descent and never evaluated as Python.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from cubragg.errors import ConfigError

#: The value of a formula for the number of a shot.
Formula = Callable[[float], float]
_FUNCTIONS: dict[str, Formula] = {"exp": math.exp, "log": math.log, "sin": math.sin, "cos": math.cos,
                                  "sqrt": math.sqrt}
_TOKEN = re.compile(r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|"
                    r"(?P<sign>\*\*|[-+*/()]))")
#: Longest accepted text, and deepest nesting.
_MAX_LENGTH, _MAX_DEPTH = 1000, 50
_ACCEPTED = "numbers, i, + - * / **, parentheses and exp log sin cos sqrt are accepted"


def parse_formula(text: str) -> Formula:
    """The function that a text defines; `-i**2` is -(i**2), and `2**3**2` is 2**9, as in Python.

    Raises
    ------
    ConfigError
        For text that is not such a function.
    """
    if not isinstance(text, str) or len(text) > _MAX_LENGTH:
        raise ConfigError("of_shot", f"got {text!r:.60}; a text of at most {_MAX_LENGTH} characters is accepted")
    parser = _Parser(text)
    formula = parser.sum()
    if parser.token is not None:
        raise parser.error()
    return formula


def value_of(formula: Formula, shot: int, text: str) -> float:
    """The value of a formula for a shot.

    Raises
    ------
    ConfigError
        Where the formula has no finite value; ``text`` is that of the message.
    """
    try:
        value = formula(float(shot))
    except (ArithmeticError, ValueError):
        value = math.nan
    if not isinstance(value, float) or not math.isfinite(value):
        raise ConfigError("of_shot", f"got {text!r}, which has no finite value for shot {shot}; a function that is "
                          "finite in every shot is accepted")
    return value


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._place, self._start, self._depth = text, 0, 0, 0
        self.token: str | None = None
        self._kind: str | None = None
        self._advance()

    def error(self) -> ConfigError:
        """The error about the current token."""
        got = repr(self.token) if self.token is not None else "the end"
        return ConfigError("of_shot", f"got {self._text!r} with {got} at character {self._start + 1}; {_ACCEPTED}")

    def _advance(self) -> None:
        rest = self._text[self._place:]
        self._start = self._place + len(rest) - len(rest.lstrip())
        if not rest.strip():
            self.token = self._kind = None
            return
        match = _TOKEN.match(self._text, self._place)
        if match is None:
            self.token = self._text[self._start]
            raise self.error()
        self._kind, self.token = match.lastgroup, match[match.lastgroup or 0]
        self._place = match.end()

    def _take(self, *signs: str) -> str | None:
        if self._kind != "sign" or self.token not in signs:
            return None
        sign = self.token
        self._advance()
        return sign

    def sum(self) -> Formula:
        left = self._product()
        while sign := self._take("+", "-"):
            left = _combined(sign, left, self._product())
        return left

    def _product(self) -> Formula:
        left = self._signed()
        while sign := self._take("*", "/"):
            left = _combined(sign, left, self._signed())
        return left

    def _signed(self) -> Formula:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ConfigError("of_shot", f"got more than {_MAX_DEPTH} nested parentheses, signs or powers; {_ACCEPTED}")
        if self._take("-"):
            inner = self._signed()
            found: Formula = lambda i: -inner(i)  # noqa: E731
        elif self._take("+"):
            found = self._signed()
        else:
            found = self._power()
        self._depth -= 1
        return found

    def _power(self) -> Formula:
        base = self._atom()
        return _combined("**", base, self._signed()) if self._take("**") else base

    def _atom(self) -> Formula:
        kind, token = self._kind, self.token
        if kind == "number" and token is not None:
            self._advance()
            number = float(token)
            return lambda _: number
        if kind == "name" and token == "i":
            self._advance()
            return lambda i: i
        if kind == "name" and token in _FUNCTIONS:
            self._advance()
            function, inner = _FUNCTIONS[token], self._parenthesis()
            return lambda i: function(inner(i))
        if kind == "sign" and token == "(":
            return self._parenthesis()
        raise self.error()

    def _parenthesis(self) -> Formula:
        if not self._take("("):
            raise self.error()
        inner = self.sum()
        if not self._take(")"):
            raise self.error()
        return inner


def _combined(sign: str, left: Formula, right: Formula) -> Formula:
    return {"+": lambda i: left(i) + right(i), "-": lambda i: left(i) - right(i), "*": lambda i: left(i) * right(i),
            "/": lambda i: left(i) / right(i), "**": lambda i: left(i) ** right(i)}[sign]
