"""The command of a task: its flags are derived from the task's class and from the options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from backdrop._cli import generate
from backdrop._cli.failures import failures_as_sentences
from backdrop._describe import Flag, Option, options_of
from backdrop._options import Options
from backdrop.contract.rules import TASKS as RULES
from backdrop.tasks import Task

# The background task is what most callers want: its command has the short name.
_NAMES = {"background": "generate"}

Endpoint = Annotated[
    str | None,
    typer.Option(envvar="BACKDROP_ENDPOINT", metavar="HOST:PORT", help="The server. Default: 127.0.0.1:50061."),
]
_Out = Annotated[Path, typer.Option(help="Folder for the pictures, result.json and contact_sheet.png.")]


def name_of(task: type[Task]) -> str:
    """The name of the task's command."""
    return _NAMES.get(task.name, task.name.replace("_", "-"))


def help_of(task: type[Task]) -> str:
    """What `--help` says about the command."""
    variants = " Variants are ranked, the best are written." if RULES[task.name].sampled else ""
    return f"{inspect.getdoc(task)}{variants}"


def function_of(task: type[Task]) -> Callable[..., None]:
    """The function that typer calls; its signature has a parameter for each flag."""
    fields = options_of(task)
    refused = RULES[task.name].refused
    options = {name: option for name, option in options_of(Options).items() if option.path not in refused}

    def command(*, out: Path, endpoint: str | None, **flags: Any) -> None:
        with failures_as_sentences():
            request = generate.Request(task(**_values(fields, flags)), _values(options, flags))
            generate.run(request, out, endpoint)

    required = {name for name, parameter in inspect.signature(task).parameters.items() if not _has_default(parameter)}
    parameters = list(_parameters(fields, required))
    parameters.append(_parameter("out", _Out, default=Path("pictures")))
    parameters += _parameters(options, set())
    parameters.append(_parameter("endpoint", Endpoint, default=None))
    parameters.sort(key=_has_default)
    # typer reads flags from the signature; written by hand, it would repeat every description.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _parameters(options: Mapping[str, Option], required: set[str]) -> Iterator[inspect.Parameter]:
    for name, option in options.items():
        for flag in option.flags:
            info = typer.Option(flag.name, metavar=flag.metavar, help=option.flag_help(flag))
            if name in required:
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
