"""Metric math: expressions over time series, parsed and computed.

Served: ``+ - * / ^``, comparisons, ``AND OR``, brackets, arrays ``[m1, m2]``, and the functions in
:data:`~sagemaker_local.cloudwatch.expression_functions.FUNCTIONS`. Everything else is refused by its name.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence

from sagemaker_local.cloudwatch.expression_functions import (
    FUNCTIONS,
    NAMES,
    Context,
    ExpressionError,
    Value,
    as_list,
    combined,
    fill,
)

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<mark>&&|\|\||==|!=|<=|>=|[-+*/^<>(),\[\]]))"
)
NESTING = 60


def _flag(compare: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    return lambda a, b: 1.0 if compare(a, b) else 0.0


OPERATORS: Mapping[str, tuple[int, Callable[[float, float], float]]] = {
    "OR": (1, lambda a, b: 1.0 if a or b else 0.0),
    "||": (1, lambda a, b: 1.0 if a or b else 0.0),
    "AND": (2, lambda a, b: 1.0 if a and b else 0.0),
    "&&": (2, lambda a, b: 1.0 if a and b else 0.0),
    "==": (3, _flag(operator.eq)),
    "!=": (3, _flag(operator.ne)),
    "<": (3, _flag(operator.lt)),
    "<=": (3, _flag(operator.le)),
    ">": (3, _flag(operator.gt)),
    ">=": (3, _flag(operator.ge)),
    "+": (4, operator.add),
    "-": (4, operator.sub),
    "*": (5, operator.mul),
    "/": (5, operator.truediv),
    "^": (7, operator.pow),
}
"""Operator → how tight it binds, and what it computes. Division by zero leaves the point out."""
UNARY_MINUS = 6


def evaluate(expression: str, context: Context) -> Value:
    """The value of an expression.

    Raises:
        ExpressionError: it is wrong, or not served.
        KeyError: it names a query that is not there.
    """
    parser = _Parser(_tokens(expression), context)
    value = parser.expression(0)
    if parser.peek():
        raise ExpressionError(f"'{parser.peek()}' is not expected after a complete expression")
    return value


def identifiers(expression: str) -> set[str]:
    """The ids of queries that an expression may use; every one when it says METRICS."""
    return {token for token in _tokens(expression) if re.fullmatch(r"[a-z][A-Za-z0-9_]*", token)}


def _tokens(expression: str) -> list[str]:
    tokens, at = [], 0
    text = expression.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"cannot read '{text[at : at + 20]}'")
        tokens.append(match[0].strip())
        at = match.end()
    return tokens


class _Parser:
    """Reads and computes at once: an expression is used one time."""

    def __init__(self, tokens: Sequence[str], context: Context) -> None:
        self._tokens, self._at, self._context = tokens, 0, context

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if not token or (wanted is not None and token != wanted):
            raise ExpressionError(f"expected '{wanted or 'a value'}', not '{token or 'the end'}'")
        self._at += 1
        return token

    def expression(self, binding: int) -> Value:
        self._context.depth += 1
        if self._context.depth > NESTING:
            raise ExpressionError(f"nests deeper than {NESTING}")
        left = self._operand()
        while (found := OPERATORS.get(self.peek())) and found[0] > binding:
            self.take()
            left = combined(left, self.expression(found[0]), found[1])
        self._context.depth -= 1
        return left

    def _operand(self) -> Value:
        word = self.take()
        if word == "-":
            return combined(0.0, self.expression(UNARY_MINUS), operator.sub)
        if word == "(":
            value = self.expression(0)
            self.take(")")
            return value
        if word == "[":
            return [series for value in self._list("]") for series in as_list(value)]
        if word[0].isdigit() or word[0] == ".":
            return float(word)
        if self.peek() == "(" and word not in OPERATORS:
            return self._call(word)
        if word in self._context.values:
            return self._context.values[word]
        raise KeyError(word)

    def _list(self, end: str) -> list[Value]:
        values: list[Value] = []
        while self.peek() != end:
            if values:
                self.take(",")
            values.append(self.expression(0))
        self.take(end)
        return values

    def _call(self, name: str) -> Value:
        self.take("(")
        if name == "METRICS":
            text = self.take()[1:-1] if self.peek()[:1] in "\"'" and self.peek() else ""
            self.take(")")
            chosen = [each for each in self._context.metrics if text in each]
            return [series for each in chosen for series in as_list(self._context.values[each])]
        if name == "FILL":
            filled = self.expression(0)
            self.take(",")
            with_what: Value | str = (
                self.take() if self.peek() in ("REPEAT", "LINEAR") else self.expression(0)
            )
            self.take(")")
            return fill(filled, with_what, self._context.times)
        function = FUNCTIONS.get(name)
        if function is None:
            raise ExpressionError(f"the function {name} is not served; served are {', '.join(NAMES)}")
        arguments = self._list(")")
        try:
            return function(self._context, *arguments)
        except TypeError:
            raise ExpressionError(f"{name} does not take {len(arguments)} such arguments") from None
