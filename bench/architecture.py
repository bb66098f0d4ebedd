"""Measures the marks of the architecture and writes them to docs/figures/architecture.json.

usage: python -m bench.architecture [NAME …] [--recording FILE] [--before CHECKOUT] [--rounds N]
                                    [--erase COMMIT] [--text-to-image COMMIT] [--output FILE]

Default: every check that only counts over the tree. By name alone: `recorded` (starts a cluster, needs --recording),
`against-commit` (half an hour, needs --before), `suite` (a fresh clone that installs everything and runs `make test`).
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import checks
from bench.figures import ROOT, Figure, at_most, commit, reported
from bench.structure import (
    MOST_LINES_OF_FILE,
    MOST_LINES_OF_FUNCTION,
    MOST_PARAMETERS,
    Tree,
    changed_files,
    readme_figures,
)
from tests import test_architecture

AREA = "architecture"
_PYTEST_SECONDS = re.compile(r"^[= ]*\d+ (?:passed|failed|skipped|error)[^\n]* in ([\d.]+)s", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What some checks need to know.

    Attributes:
        recording: of `bench.recorded`, from before the redesign.
        before: a checkout of the commit before the redesign.
        rounds: of the comparison with it.
        tasks: the commit that added a task, by the task's name.
        output: of `make test` in a fresh clone, where it ran already.
    """

    recording: Path | None
    before: Path | None
    rounds: int
    tasks: dict[str, str]
    output: Path | None = None


def command(name: str) -> str:
    """What measures the mark again."""
    return f"python -m bench.architecture {name}"


def count_figure(name: str, matches: Sequence[str], check: str, most: int = 0) -> Figure:
    """The number of places that violate a rule, with the first ones as the reason."""
    listed = ", ".join(matches[:5]) + (", …" if len(matches) > 5 else "")
    return Figure(name, len(matches), at_most(most, listed), command(check))


def recorded_figure(differing: int, compared: int) -> Figure:
    """The figure of a comparison by `bench.recorded`."""
    name = "pictures of the recorded background requests that differ from before"
    return Figure(name, differing, at_most(0), command("recorded"), f"{compared} pictures compared")


def recorded(arguments: Arguments) -> list[Figure]:
    """Pictures that a cluster of this checkout returns, against a recording."""
    from bench import recorded as recording

    if arguments.recording is None:
        raise SystemExit("recorded needs --recording FILE, written by `python -m bench.recorded record`")
    before = json.loads(arguments.recording.read_text())
    count = sum(len(digests) for digests in before.values())
    return [recorded_figure(recording.differing(before, recording.record()), count)]


def tasks(arguments: Arguments) -> list[Figure]:
    """Files that the commits of the new tasks changed."""
    result = []
    for task, file, mark in (("erase", "erase", at_most(10)), ("text-to-image", "text_to_image", reported("lower"))):
        added = arguments.tasks.get(task) or _git("log", "--diff-filter=A", "--format=%h", "--", _task_file(file))
        if not added:
            checks.console.print(f"  no commit has added {_task_file(file)}")
            continue
        names = changed_files(_git("show", "--name-only", "--format=", added).splitlines())
        name = f"files outside tests, docs and generated code that adding {task} changed"
        mark = dataclasses.replace(mark, reason=", ".join(names))
        again = command(f"tasks --{task} {added}")
        result.append(Figure(name, len(names), mark, again, f"commit {added}"))
    return result


def _task_file(name: str) -> str:
    return f"orchestrator/tasks/{name}.py"


def descriptions(arguments: Arguments) -> list[Figure]:
    """The longest task description."""
    lines = Tree.tracked(ROOT).task_descriptions()
    if not lines:
        checks.console.print("  orchestrator/tasks/ has no descriptions")
        return []
    longest = max(lines, key=lines.__getitem__)
    name, spread = "lines of the longest task description", f"{longest}, of {len(lines)}"
    return [Figure(name, lines[longest], at_most(80, longest), command("descriptions"), spread)]


def words(arguments: Arguments) -> list[Figure]:
    """Files of the core that know products."""
    name = 'files of orchestrator/ outside tasks/ and imaging/ that say "product"'
    return [count_figure(name, Tree.tracked(ROOT).product_files(), "words", 5)]


def imports(arguments: Arguments) -> list[Figure]:
    """Import circles and imports against the directions."""
    circles = [f"{circle[0]} and {len(circle) - 1} more" for circle in Tree.tracked(ROOT).import_circles()]
    return [
        count_figure("import circles", circles, "imports"),
        count_figure("imports against the directions", test_architecture.violations(), "imports"),
    ]


def sizes(arguments: Arguments) -> list[Figure]:
    """Sizes of files and functions."""
    source = Tree.tracked(ROOT).source()
    wide = f"functions with more than {MOST_PARAMETERS} parameters, outside the SDK's public calls"
    return [
        count_figure(f"files of source over {MOST_LINES_OF_FILE} lines", source.long_files(), "sizes"),
        count_figure(f"functions over {MOST_LINES_OF_FUNCTION} lines", source.long_functions(), "sizes"),
        count_figure(wide, source.wide_functions(), "sizes"),
    ]


def readme(arguments: Arguments) -> list[Figure]:
    """The length of README and its figures: rows of generated tables, and other lines that give a number's mark."""
    text = (ROOT / "README.md").read_text()
    return [
        Figure("README lines", len(text.splitlines()), at_most(140), command("readme")),
        Figure("figures in README", readme_figures(text), at_most(8), command("readme")),
    ]


def suite(arguments: Arguments) -> list[Figure]:
    """pytest's own minutes in `make test`, in a fresh clone, nothing else running; or by its output from there."""
    output = arguments.output.read_text() if arguments.output else _make_test()
    seconds = pytest_seconds(output)
    if not seconds:
        raise SystemExit(f"make test failed:\n{output[-4000:]}")
    minutes, spread = round(sum(seconds) / 60, 2), " + ".join(f"{each:.0f}" for each in seconds) + " s"
    return [Figure("minutes of pytest in `make test`, fresh clone", minutes, at_most(15), command("suite"), spread)]


def _make_test() -> str:
    """The output of `make test` in a fresh clone.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="backdrop-clone-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        run = subprocess.run(
            ["make", "test"], cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    if run.returncode:
        raise SystemExit(f"make test failed:\n{run.stdout[-4000:]}")
    return run.stdout


def pytest_seconds(output: str) -> list[float]:
    """The seconds of each run of pytest, from its last lines."""
    return [float(seconds) for seconds in _PYTEST_SECONDS.findall(output)]


def against_commit(arguments: Arguments) -> list[Figure]:
    """Speed against the commit before."""
    from bench import against_commit as comparison

    if arguments.before is None:
        raise SystemExit("against-commit needs --before CHECKOUT")
    before = arguments.before.resolve()
    return comparison.measure(before, commit(before), arguments.rounds)


def _git(*words: str) -> str:
    """The output of a git command, its first line alone for a log."""
    output = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    return output.partition("\n")[0] if words[0] == "log" else output


CHECKS: dict[str, Callable[[Arguments], list[Figure]]] = {
    "descriptions": descriptions,
    "words": words,
    "imports": imports,
    "sizes": sizes,
    "readme": readme,
    "tasks": tasks,
    "recorded": recorded,
    "against-commit": against_commit,
    "suite": suite,
}
BY_NAME_ALONE = ("recorded", "against-commit", "suite")


def main() -> int:
    """Measures the named marks; the exit status is 1 when one is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.architecture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*CHECKS, []], metavar="NAME", help=", ".join(CHECKS))
    parser.add_argument("--recording", type=Path, metavar="FILE", help="pictures from before, for `recorded`")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="the other side, for `against-commit`")
    parser.add_argument("--output", type=Path, metavar="FILE", help="of `make test` in a fresh clone, for `suite`")
    parser.add_argument("--rounds", type=int, default=3, help="cluster starts of `against-commit` (default: 3)")
    for task in ("erase", "text-to-image"):
        parser.add_argument(
            f"--{task}", metavar="COMMIT", default="", help="what added the task (default: by its file)"
        )
    parsed = parser.parse_args()
    commits = {"erase": parsed.erase, "text-to-image": parsed.text_to_image}
    arguments = Arguments(parsed.recording, parsed.before, parsed.rounds, commits, parsed.output)
    names = parsed.names or [name for name in CHECKS if name not in BY_NAME_ALONE]
    bound: dict[str, checks.Check] = {name: functools.partial(CHECKS[name], arguments) for name in names}
    return checks.run(AREA, names, bound)


if __name__ == "__main__":
    sys.exit(main())
