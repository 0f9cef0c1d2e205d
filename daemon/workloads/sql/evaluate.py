"""From an expression's tree to a function: what is known beforehand is worked out once, not per operation."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from daemon.workloads.sql.expression import Call, Constant, Expression, Variable
from daemon.workloads.sql.functions import FUNCTIONS, OPERATORS, Function, ScriptError, Value, number, truth

Variables = dict[str, Value]
Evaluate = Callable[[Variables, Random], Value]


class Known(NamedTuple):
    """An expression whose value never changes."""

    value: Value


def compiled(tree: Expression, fixed: Mapping[str, Value]) -> Evaluate:
    """Return the function that gives an expression's value, from the variables and a random generator.

    Args:
        tree: the expression.
        fixed: the variables that never change.

    Raises:
        ScriptError: there is no value, whatever the other variables hold. The function raises it
            when there is none for what they hold then.
    """
    found = _compiled(tree, fixed)
    if not isinstance(found, Known):
        return found
    value = found.value
    return lambda variables, rng: value  # noqa: ARG005 - as every expression


def _compiled(tree: Expression, fixed: Mapping[str, Value]) -> Evaluate | Known:
    if isinstance(tree, Constant):
        return Known(tree.value)
    if isinstance(tree, Variable):
        return Known(_plain(fixed[tree.name])) if tree.name in fixed else _variable(tree.name)
    if tree.name in _LAZY:
        return _LAZY[tree.name]([_deferred(arg, fixed) for arg in tree.args])
    args = [_compiled(arg, fixed) for arg in tree.args]
    known = [arg.value for arg in args if isinstance(arg, Known)]
    if len(known) == len(args):
        return _folded(tree, known)
    return _strict(tree, [compiled(arg, fixed) for arg in tree.args])


def _folded(tree: Call, args: Sequence[Value]) -> Evaluate | Known:
    function = _function(tree.name)
    if None in args and tree.name != "is":
        return Known(None)
    result = function.apply(*args)
    if not function.drawn:
        return Known(result)
    return lambda variables, rng: result(rng)  # noqa: ARG005 - as every expression


def _strict(tree: Call, args: Sequence[Evaluate]) -> Evaluate:
    _, _, apply, drawn, _ = _function(tree.name)
    skips_null = tree.name != "is"

    def evaluate(variables: Variables, rng: Random) -> Value:
        values = [arg(variables, rng) for arg in args]
        if skips_null and None in values:
            return None
        value: Value = apply(*values)(rng) if drawn else apply(*values)
        return value

    return evaluate


def _function(name: str) -> Function:
    return FUNCTIONS.get(name) or Function(1, 2, OPERATORS[name])


def _plain(value: Value) -> Value:
    return number(value) if isinstance(value, str) else value


def _variable(name: str) -> Evaluate:
    def evaluate(variables: Variables, rng: Random) -> Value:  # noqa: ARG001 - as every expression
        try:
            value = variables[name]
        except KeyError:
            raise ScriptError(f"the variable {name} is not set yet") from None
        return number(value) if type(value) is str else value

    return evaluate


def _deferred(tree: Expression, fixed: Mapping[str, Value]) -> Evaluate:
    """Return the function of a part that may never be asked for, and only then has to have a value."""
    try:
        return compiled(tree, fixed)
    except ScriptError as error:
        reason = str(error)

    def evaluate(variables: Variables, rng: Random) -> Value:  # noqa: ARG001 - as every expression
        raise ScriptError(reason)

    return evaluate


def _case(args: Sequence[Evaluate]) -> Evaluate:
    branches = list(zip(args[:-1:2], args[1:-1:2], strict=True))
    otherwise = args[-1]

    def evaluate(variables: Variables, rng: Random) -> Value:
        for condition, value in branches:
            if truth(condition(variables, rng)):
                return value(variables, rng)
        return otherwise(variables, rng)

    return evaluate


def _logical(args: Sequence[Evaluate], *, decides: bool) -> Evaluate:
    """Return AND or OR, which look at the second operand only if the first one does not decide."""
    first, second = args

    def evaluate(variables: Variables, rng: Random) -> Value:
        value = first(variables, rng)
        if value is None or truth(value) is decides:
            return None if value is None else decides
        value = second(variables, rng)
        return None if value is None else truth(value)

    return evaluate


_LAZY: Mapping[str, Callable[[Sequence[Evaluate]], Evaluate]] = {
    "and": lambda args: _logical(args, decides=False),
    "or": lambda args: _logical(args, decides=True),
    "case": _case,
}
