"""How commands are declared: Typer, with our help pages and with modules that are imported only when called."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from edusec.declare.help import page
from edusec.exits import Stop
from edusec.lang import current, t
from wire.text import Text

_SENTENCE = re.compile(r"。|\.(?:\s|$)|\n")


class Command(TyperCommand):
    """A command with our help page."""

    def get_help(self, ctx: Any) -> str:
        """Write the help page."""
        return page(ctx)


class Group(TyperGroup):
    """A command with subcommands and our help page."""

    def get_help(self, ctx: Any) -> str:
        """Write the help page."""
        return page(ctx)

    def summaries(self) -> Mapping[str, str]:
        """Give the subcommands and the first sentence about each, in their order."""
        return {name: _SENTENCE.split(command.help or "", 1)[0] for name, command in self.commands.items()}


def group(help: str, epilog: str | None = None) -> typer.Typer:  # noqa: A002 (Typer's own word)
    """Make a Typer program that carries subcommands."""
    return typer.Typer(
        cls=Group, help=help, epilog=epilog, no_args_is_help=True, add_completion=False, rich_markup_mode=None
    )


def hand_over(app: typer.Typer, room: str, name: str, help: str) -> None:  # noqa: A002
    """Add a subcommand whose words go, as they are, to `python -P -m room name ...`, help page and all."""

    @app.command(
        name,
        cls=Command,
        help=help,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def handed_over(context: typer.Context) -> int:
        program = import_module(f"{room}.__main__")
        return int(program.main([name, *context.args], current()) or 0)


def lazy(modules: Mapping[str, Text]) -> type[Group]:
    """Make a group whose subcommands are the modules `edusec.commands.<name>`; help pages import none of them."""

    class LazyGroup(Group):
        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (Typer's own signature)
            return list(modules)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
            if cmd_name not in modules:
                return None
            if cmd_name not in self.commands:
                self.commands[cmd_name] = get_command(import_module(f"edusec.commands.{cmd_name}").app)
            return self.commands[cmd_name]

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            if args[0] not in modules and not ctx.resilient_parsing:
                near = get_close_matches(args[0], modules, 1)
                hint = t(f"，是否指 {near[0]}？", f"; did you mean {near[0]}?") if near else ""
                raise Stop(t(f"没有命令 {args[0]}{hint}", f"no such command: {args[0]}{hint}"))
            return super().resolve_command(ctx, args)

        def summaries(self) -> Mapping[str, str]:
            return {name: text(current()) for name, text in modules.items()}

    return LazyGroup
