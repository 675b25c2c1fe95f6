"""Flags of a probe's options: what the dataclass says becomes what the command line takes."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import typer

from edusec.exits import Stop
from edusec.lang import current, t
from edusec.terminal.render import clip
from probes.kit import registry
from probes.kit.errors import OptionError
from probes.kit.options import Option, build, describe
from wire.types import Value

_LONGEST_DEFAULT = 40
_METAVARS: Mapping[Any, str] = {str: "TEXT", int: "N", float: "N", tuple[str, ...]: "TEXT"}


def parameters(options: Iterable[Option]) -> list[inspect.Parameter]:
    """Make keyword parameters for a Typer command; each is None unless it was given."""
    return [_parameter(item) for item in options]


def given(values: Mapping[str, Any]) -> dict[str, Value]:
    """Keep what was given, in the form that the probe's options take."""
    kept = {name: value for name, value in values.items() if value is not None and value != []}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}


def check_options(probe: str, options: Mapping[str, Value]) -> None:
    """Check what was given before anything is started; raises Stop naming the flag and what is allowed."""
    known = registry.load(probe)
    try:
        build(known, options)
    except OptionError as error:
        item = next((item for item in describe(known) if item.name == error.key), None)
        if item is None:
            raise
        flag = error.key if error.key == "targets" else f"--{error.key.replace('_', '-')}"
        raise Stop(t(f"{flag}：{error.says.zh}", f"{flag}: {error.says.en}")) from None


def with_flags(function: Callable[..., Any], options: Iterable[Option]) -> Callable[..., Any]:
    """Give a function with `**values` the signature that it and the options make together."""
    own = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    # Keyword-only parameters may follow each other with and without defaults.
    whole = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in [*own, *parameters(options)]]

    def command(**values: Any) -> Any:
        return function(**values)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__signature__ = inspect.Signature(whole)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in whole}
    return command


def _parameter(item: Option) -> inspect.Parameter:
    name = f"--{item.name.replace('_', '-')}"
    if item.kind is bool:
        name = f"{name}/--no-{item.name.replace('_', '-')}"
    annotation = {bool: bool | None, tuple[str, ...]: list[str] | None}.get(item.kind, item.kind | None)
    default = typer.Option(
        None,
        name,
        metavar="|".join(item.choices) or item.unit.upper() or _METAVARS.get(item.kind),
        help=item.help(current()),
        show_default=_shown(item.default),
    )
    return inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _shown(default: Value) -> str | bool:
    if default is None or default == "" or default == ():
        return False
    if isinstance(default, tuple):
        default = ", ".join(default)
    if isinstance(default, str):
        return clip(default, _LONGEST_DEFAULT)
    return (
        f"{default:.15g}"
        if isinstance(default, float)
        else str(default).lower()
        if isinstance(default, bool)
        else str(default)
    )
