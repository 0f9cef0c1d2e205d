"""What pgbench's operators and functions do: 64-bit integers, doubles, booleans and NULL.

As its documentation has it, but for one thing: where a boolean is wanted a number will do, as the
examples there show and pgbench itself refuses. `debug` prints nothing.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial, reduce
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from daemon.errors import OpError
from daemon.workloads.sql import laws
from daemon.workloads.sql.laws import Law

Value = int | float | bool | str | None
"""What a variable holds. Text comes from results and generators; an expression reads it as a number."""

LOWEST, HIGHEST = -(2**63), 2**63 - 1
MANY = 255  # arguments


class ScriptError(OpError):
    """A script cannot be read, or one of its expressions has no value."""

    def __init__(self, message: str) -> None:
        super().__init__("other", message)


class Function(NamedTuple):
    """A function of the language.

    Attributes:
        least: fewest arguments.
        most: most arguments.
        apply: makes the value, or the law of which one is drawn, of arguments that are not NULL.
        drawn: it is a law.
        seeded: the last argument is a seed, and the variable default_seed where it is left out.
    """

    least: int
    most: int
    apply: Callable[..., Any]
    drawn: bool = False
    seeded: bool = False

    @property
    def takes(self) -> str:
        """How many arguments it takes, in words."""
        if self.most == MANY:
            return "at least one argument"
        counts = f"{self.least}" if self.least == self.most else f"{self.least} or {self.most}"
        return f"{counts} argument{'s' if self.most != 1 else ''}"


def number(text: str) -> Value:
    """Return the value that a text stands for: a number, true, false or null; PostgreSQL answers t and f.

    Raises:
        ScriptError: none of these, or a number that is too large.
    """
    words: dict[str, Value] = {"null": None, "true": True, "t": True, "false": False, "f": False}
    word = text.strip().lower()
    if word in words:
        return words[word]
    try:
        if word.removeprefix("-").removeprefix("+").isdecimal():
            return within(int(word))
        value = float(word)
    except ValueError:
        raise ScriptError(f"{text!r} is not a number") from None
    if math.isinf(value):
        raise ScriptError(f"{text} is too large")
    return value


def within(result: int) -> int:
    """Return a number that fits into 64 bits.

    Raises:
        ScriptError: it does not.
    """
    if LOWEST <= result <= HIGHEST:
        return result
    raise ScriptError(f"{result} is too large for 64 bits")


def truth(value: Value) -> bool:
    """Return whether a condition holds: NULL and 0 do not."""
    return bool(number(value) if isinstance(value, str) else value)


def integer(value: Value) -> int:
    """Return a number as an integer, a half to the nearest even one.

    Raises:
        ScriptError: it is none, or too large.
    """
    if type(value) is int:
        return value
    if type(value) is float and math.isfinite(value):
        return within(round(value))
    raise ScriptError(f"{shown(value)} is no integer")


def double(value: Value) -> float:
    """Return a number as a double.

    Raises:
        ScriptError: it is none.
    """
    return float(_numeric(value))


def shown(value: Value) -> str:
    """Return a value as SQL writes it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _numeric(value: Value) -> int | float:
    if type(value) is int or type(value) is float:
        return value
    raise ScriptError(f"{shown(value)} is not a number")


def _add(a: Value, b: Value) -> Value:
    result = _numeric(a) + _numeric(b)
    return within(result) if type(result) is int else result


def _subtract(a: Value, b: Value) -> Value:
    result = _numeric(a) - _numeric(b)
    return within(result) if type(result) is int else result


def _multiply(a: Value, b: Value) -> Value:
    result = _numeric(a) * _numeric(b)
    return within(result) if type(result) is int else result


def _divide(a: Value, b: Value) -> Value:
    a, b = _numeric(a), _numeric(b)
    if type(a) is int and type(b) is int:
        if b == 0:
            raise ScriptError("division by zero")
        quotient = abs(a) // abs(b)
        return within(quotient if (a < 0) == (b < 0) else -quotient)
    if b == 0:
        sign = math.copysign(1.0, a) * math.copysign(1.0, b)
        return math.nan if a == 0 or math.isnan(a) else sign * math.inf
    return float(a) / float(b)


def _modulo(a: Value, b: Value) -> Value:
    left, right = integer(a), integer(b)
    if right == 0:
        raise ScriptError("division by zero")
    rest = abs(left) % abs(right)  # it has the sign of what is divided, other than Python's
    return -rest if left < 0 else rest


def _compare(test: Callable[[int | float, int | float], bool], a: Value, b: Value) -> Value:
    return test(_numeric(a), _numeric(b))


def _extreme(wins: Callable[[int | float, int | float], bool], *args: Value) -> Value:
    numbers = [_numeric(arg) for arg in args]
    chosen = reduce(lambda a, b: a if wins(a, b) else b, numbers)
    return float(chosen) if any(type(one) is float for one in numbers) else chosen


def _power(base: Value, exponent: Value) -> Value:
    x, y = double(base), double(exponent)
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf
    except ValueError:
        return math.inf if x == 0 else math.nan


def _exp(value: Value) -> Value:
    try:
        return math.exp(double(value))
    except OverflowError:
        return math.inf


def _ln(value: Value) -> Value:
    x = double(value)
    return math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)


def _sqrt(value: Value) -> Value:
    x = double(value)
    return math.sqrt(x) if x >= 0 else math.nan


def _bounds(low: Value, high: Value) -> tuple[int, int]:
    first, last = integer(low), integer(high)
    if first > last:
        raise ScriptError(f"nothing can be drawn from {first} … {last}: the first bound is the larger one")
    if last - first >= HIGHEST:
        raise ScriptError(f"the range {first} … {last} is too large")
    return first, last


def _shaped(
    law: Callable[[int, int, float], Law], allowed: tuple[float, float], low: Value, high: Value, shape: Value
) -> Law:
    bounds, parameter = _bounds(low, high), double(shape)
    if not allowed[0] <= parameter <= allowed[1]:
        most = "" if allowed[1] == math.inf else f" and at most {allowed[1]:g}"
        least = "above 0" if allowed[0] < 1 else f"at least {allowed[0]:g}"
        raise ScriptError(f"the parameter {parameter:g} of a random function must be {least}{most}")
    return law(*bounds, parameter)


def _permute(index: Value, size: Value, seed: Value) -> Value:
    if integer(size) < 1:
        raise ScriptError("the size of permute must be above 0")
    return laws.permuted(integer(index), integer(size), integer(seed))


OPERATORS: Mapping[str, Callable[..., Value]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _modulo,
    "=": partial(_compare, eq),
    "<>": partial(_compare, ne),
    "<": partial(_compare, lt),
    "<=": partial(_compare, le),
    ">": partial(_compare, gt),
    ">=": partial(_compare, ge),
    "|": lambda a, b: integer(a) | integer(b),
    "#": lambda a, b: integer(a) ^ integer(b),
    "&": lambda a, b: integer(a) & integer(b),
    "<<": lambda a, b: laws.signed(integer(a) << (integer(b) & 63)),
    ">>": lambda a, b: integer(a) >> (integer(b) & 63),
    "~": lambda a: ~integer(a),
    "not": lambda a: not truth(a),
    "is": lambda a, b: type(a) is type(b) and a == b,
}
"""The operators, each but `is` NULL when an operand is; AND, OR and CASE are `evaluate`'s."""

_ABOVE_0 = (5e-324, math.inf)
FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(1, 1, lambda a: _numeric(a) if _numeric(a) >= 0 else _subtract(0, a)),
    "debug": Function(1, 1, lambda a: a),
    "double": Function(1, 1, double),
    "exp": Function(1, 1, _exp),
    "greatest": Function(1, MANY, partial(_extreme, gt)),
    "hash": Function(1, 2, lambda a, seed: laws.murmur2(integer(a), integer(seed)), seeded=True),
    "hash_fnv1a": Function(1, 2, lambda a, seed: laws.fnv1a(integer(a), integer(seed)), seeded=True),
    "hash_murmur2": Function(1, 2, lambda a, seed: laws.murmur2(integer(a), integer(seed)), seeded=True),
    "int": Function(1, 1, integer),
    "least": Function(1, MANY, partial(_extreme, lt)),
    "ln": Function(1, 1, _ln),
    "mod": Function(2, 2, _modulo),
    "permute": Function(2, 3, _permute, seeded=True),
    "pi": Function(0, 0, lambda: math.pi),
    "pow": Function(2, 2, _power),
    "power": Function(2, 2, _power),
    "random": Function(2, 2, lambda low, high: laws.uniform(*_bounds(low, high)), drawn=True),
    "random_exponential": Function(3, 3, partial(_shaped, laws.exponential, _ABOVE_0), drawn=True),
    "random_gaussian": Function(3, 3, partial(_shaped, laws.gaussian, (2.0, math.inf)), drawn=True),
    "random_zipfian": Function(3, 3, partial(_shaped, laws.zipf, (1.001, 1000.0)), drawn=True),
    "sqrt": Function(1, 1, _sqrt),
}
