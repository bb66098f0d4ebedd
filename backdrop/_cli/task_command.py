"""The command of a task: flags, help and examples are derived from the task's class and from the options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from backdrop._cli import generate
from backdrop._cli.connection import PANEL as _CALL
from backdrop._cli.connection import Connection, connected
from backdrop._cli.examples import EXAMPLES
from backdrop._describe import Flag, Option, options_of
from backdrop._options import Options
from backdrop.contract.rules import TASKS as RULES
from backdrop.tasks import Task

_PANELS = {part: part.capitalize() for part in ("conditioning", "sampling", "selection", "delivery")}
"""Groups of flags in the help, by the part of the request that they set."""

_Out = Annotated[
    Path,
    typer.Option(
        help="Folder for the pictures, maps of changed borders, result.json and contact_sheet.png.",
        rich_help_panel=_CALL,
    ),
]


class TaskCommand(TyperCommand):
    """A command whose help ends with its examples, as they are: wrapped in a box they could not be copied."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help."""
        super().format_help(ctx, formatter)
        typer.echo("Examples; their files are in the folder examples/ of the repository:\n")
        typer.echo(examples_of(str(self.name).replace("-", "_")))


def examples_of(task: str) -> str:
    """The examples of a task as lines of shell, each below its sentence."""
    lines = [f"# {example.text}\n{example.command}\n" for example in EXAMPLES[task]]
    return "\n".join(lines)


def name_of(task: type[Task]) -> str:
    """The name of the task's command."""
    return task.name.replace("_", "-")


def help_of(task: type[Task]) -> str:
    """What `--help` says about the command: the task's description, with flags instead of keywords."""
    variants = "\n\nVariants are ranked, and the best are written." if RULES[task.name].sampled else ""
    return f"{_with_flags(inspect.getdoc(task) or '', task)}{variants}"


def _with_flags(text: str, task: type[Task]) -> str:
    flags = {name: option.flags[0].name for owner in (Options, task) for name, option in options_of(owner).items()}
    return re.sub(r"`(\w+)`", lambda match: flags.get(match[1], match[0]), text)


def function_of(task: type[Task]) -> Callable[..., None]:
    """The function that typer calls; its signature has a parameter for each flag.

    Flags of options that the task does not take are hidden: the server's refusal says more than "No such option".
    """

    def command(*, out: Path, connection: Connection, **flags: Any) -> None:
        generate.run(_request(task, flags), out, connection)

    required = {name for name, parameter in inspect.signature(task).parameters.items() if not _has_default(parameter)}
    parameters = [
        *(
            each
            for name, option in options_of(task).items()
            for each in _parameters(option, "Task", required=name in required)
        ),
        *_option_parameters(options_of(Options), RULES[task.name].refused),
        _parameter("out", _Out, default=Path("pictures")),
    ]
    return connected(command, parameters)


def request_of(task: type[Task], arguments: Sequence[str]) -> generate.Request:
    """The request that these arguments of the task's command mean. Raises InvalidRequestError, TyperException."""
    application = typer.Typer(pretty_exceptions_enable=False)
    application.command(name_of(task))(function_of(task))
    context = typer.main.get_command(application).make_context(name_of(task), list(arguments))
    return _request(task, context.params)


def request_flags(task: type[Task]) -> Sequence[str]:
    """The flags of the task's command that say what is made; the others say where it goes."""
    return [flag.name for owner in (task, Options) for option in options_of(owner).values() for flag in option.flags]


def _request(task: type[Task], flags: Mapping[str, Any]) -> generate.Request:
    return generate.Request(task(**_values(options_of(task), flags)), _values(options_of(Options), flags))


def _option_parameters(options: Mapping[str, Option], refused: Sequence[str]) -> Iterator[inspect.Parameter]:
    for option in options.values():
        panel = _PANELS.get(option.path.partition(".")[0], _CALL)
        yield from _parameters(option, panel, hidden=option.path in refused)


def _parameters(
    option: Option, panel: str, *, required: bool = False, hidden: bool = False
) -> Iterator[inspect.Parameter]:
    for flag in option.flags:
        info = typer.Option(
            flag.name, metavar=flag.metavar, help=option.flag_help(flag), rich_help_panel=panel, hidden=hidden
        )
        if required:
            yield _parameter(_variable(flag), Annotated[flag.type, info])
        else:
            yield _parameter(_variable(flag), Annotated[flag.type | None, info], default=None)


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _has_default(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty


def _variable(flag: Flag) -> str:
    return flag.name.removeprefix("--").replace("-", "_")


def _values(options: Mapping[str, Option], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the options that flags set."""
    values = {}
    for name, option in options.items():
        value = option.read(option.path, *(flags[_variable(flag)] for flag in option.flags))
        if value is not None:
            values[name] = value
    return values
