"""
db/sqitch.plan, the order in which sqitch deploys: one line for each migration, and for each release
one for its functions and triggers and one for its tag.

The plan is append-only. A release freezes it: the note of the functions and triggers holds the
SHA-256 of the release's deploy scripts, that of the tag the SHA-256 of the plan up to there.
"""

import dataclasses
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from roost import __version__
from roost.database.migration_files import MigrationError, MigrationFiles, sha256, version_key
from roost.database.sqitch_scripts import deploy_digest


class PlanLine(NamedTuple):
    """A change or a tag."""

    name: str
    """Of a tag, with its @."""
    timestamp: str
    note: str

    @property
    def migration(self) -> str:
        """Empty where it is none."""
        return self.name.removeprefix("schema/") if self.name.startswith("schema/") else ""

    @property
    def version(self) -> str:
        """Of the release whose functions and triggers it is; empty where it is none."""
        return self.name.removeprefix("code/") if self.name.startswith("code/") else ""


class Plan:
    """What the text of a plan says."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: list[PlanLine] = []
        self.releases: dict[str, list[str]] = {}
        """The ids of the migrations that are new in each, by version, in the plan's order."""
        self.unreleased: list[str] = []
        """The ids of the migrations after them."""
        self.malformed: list[tuple[int, str]] = []
        """What is no line of a plan, with its number."""
        for number, content in enumerate(text.splitlines(), 1):
            if match := _LINE.fullmatch(content):
                line = PlanLine(match["name"], match["timestamp"], match["note"] or "")
                self.lines.append(line)
                if line.migration:
                    self.unreleased.append(line.migration)
                elif line.version:
                    self.releases[line.version] = self.unreleased
                    self.unreleased = []
            elif content and not content.startswith("%"):
                self.malformed.append((number, content))

    @property
    def changes(self) -> list[str]:
        """The names of all but the tags."""
        return [line.name for line in self.lines if not line.name.startswith("@")]


def plan_problems(files: MigrationFiles) -> list[str]:
    """What is wrong with db/sqitch.plan and db/verify, with the cure. Nothing when all is well."""
    if not (files.directory / "sqitch.plan").exists():
        return ["db/sqitch.plan is missing: restore it"]
    return _problems(files, _read(files.directory))


def plan_to_export(files: MigrationFiles) -> Plan:
    """
    The plan, with one more change for functions and triggers that are not released. Raises
    MigrationError when the plan has problems, or this version is released and was something else.
    """
    if problems := plan_problems(files):
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise MigrationError(problems[0] + more)
    plan = _read(files.directory)
    if files.releases:
        version, release = list(files.releases.items())[-1]
        if (
            files.migrations.keys() == release.migrations.keys()
            and files.repeatables == release.repeatables
        ):
            return plan
        if version_key(__version__) <= version_key(version):
            raise MigrationError(
                f"db/ is not what release {version} was, and this is version {__version__}: raise"
                " the version in server/roost/__init__.py and pyproject.toml"
            )
    at = datetime.fromisoformat(plan.lines[-1].timestamp)
    line = _line(f"code/{__version__}", at, "Not released: for a database that is thrown away")
    return Plan(f"{plan.text}{line}\n")


def add_to_plan(directory: Path, change_name: str, note: str, at: datetime) -> None:
    """
    Appends a migration to db/sqitch.plan, which is begun where there is none. change_name -- such
    as schema/0010.add_workspaces. Raises MigrationError.
    """
    plan = _read(directory)
    if change_name in plan.changes:
        raise MigrationError(f"db/sqitch.plan has {change_name} already: choose another name")
    _write(directory, f"{plan.text}{_line(change_name, at, note)}\n")


def release_in_plan(directory: Path, version: str, at: datetime) -> None:
    """
    Appends the functions and triggers of a release to db/sqitch.plan, and its tag, which freezes
    the plan up to there. Where db/releases does not have the release yet, it is what the files are.
    Raises MigrationError.
    """
    files = MigrationFiles.read(directory)
    plan = _read(directory)
    code = f"code/{version}"
    if code in plan.changes:
        raise MigrationError(f"db/sqitch.plan has {code} already: raise the version")
    others = {name: it for name, it in files.releases.items() if name != version}
    if problems := _problems(dataclasses.replace(files, releases=others), plan):
        raise MigrationError(problems[0])
    digest = deploy_digest(files, {**plan.releases, version: plan.unreleased}, version)
    text = f"{plan.text}{_line(code, at, _code_note(version, digest))}\n"
    text += _line(f"@v{version}", at, "")
    _write(directory, f"{text} # {_tag_note(version, text)}\n")


def _read(directory: Path) -> Plan:
    path = directory / "sqitch.plan"
    text = path.read_text(encoding="utf-8") if path.exists() else _PRAGMAS
    return Plan(text if text.endswith("\n") else f"{text}\n")


def _write(directory: Path, text: str) -> None:
    (directory / "sqitch.plan").write_text(text, encoding="utf-8")


def _line(name: str, at: datetime, note: str) -> str:
    note = " ".join(note.split())
    return f"{name} {at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} {_PLANNER}{note and f' # {note}'}"


def _code_note(version: str, digest: str) -> str:
    return f"Functions and triggers of {version}. SHA-256 of all its deploy scripts: {digest}"


def _tag_note(version: str, text: str) -> str:
    """text -- of the plan, up to this note"""
    return f"Roost {version}. SHA-256 of the plan up to here: {sha256(text)}"


def _problems(files: MigrationFiles, plan: Plan) -> list[str]:
    problems = [
        f"db/sqitch.plan:{number} is no line of a plan that Roost writes ({line}): remove it"
        for number, line in plan.malformed
    ]
    problems += _release_problems(files, plan)
    released = {name for release in files.releases.values() for name in release.migrations}
    planned = [line.migration for line in plan.lines if line.migration]
    for name in dict.fromkeys(planned):
        if planned.count(name) > 1:
            problems.append(f"db/sqitch.plan has schema/{name} twice: remove the later line")
        if name not in files.migrations:
            cure = "restore the file" if name in released else "remove the line"
            problems.append(
                f"db/sqitch.plan has schema/{name}, but there is no db/schema/{name}.sql: {cure}"
            )
    for name in files.migrations:
        if name not in planned:
            note = name.partition(".")[2].replace("_", " ").capitalize()
            line = _line(f"schema/{name}", datetime.now(UTC), note)
            problems.append(
                f"db/sqitch.plan does not have db/schema/{name}.sql: append the line {line}"
            )
        if not (files.directory / "verify" / f"{name}.sql").exists():
            problems.append(
                f"db/verify/{name}.sql is missing: write a script that fails where the migration is"
                " not applied"
            )
    for names in [*plan.releases.values(), plan.unreleased]:
        in_order = [name for name in files.migrations if name in names]
        given = [name for name in names if name in files.migrations]
        for first, other in zip(given, in_order, strict=False):
            if first != other:
                problems.append(
                    f"db/sqitch.plan has schema/{first} before schema/{other}, other than they"
                    " apply: swap the lines"
                )
                break
    return problems


def _release_problems(files: MigrationFiles, plan: Plan) -> list[str]:
    """Whether the plan has each release where it was, with what it consisted of."""
    names = [line.name for line in plan.lines]
    versions = [line.version for line in plan.lines if line.version]
    problems = [
        f"db/sqitch.plan has code/{version}, but there is no such release in db/releases:"
        " restore it, or remove the line and its tag"
        for version in versions
        if version not in files.releases
    ]
    missing = [version for version in files.releases if version not in versions]
    problems += [
        f"db/sqitch.plan does not have code/{version}: restore the file as it was in the release"
        for version in missing
    ]
    released = [version for version in versions if version in files.releases]
    if not missing and released != list(files.releases):
        problems.append("db/sqitch.plan has releases out of order: restore the file")
    for version in released:
        at = names.index(f"code/{version}")
        before = {line.migration for line in plan.lines[:at] if line.migration}
        if before != files.releases[version].migrations.keys():
            wrong = sorted(before ^ files.releases[version].migrations.keys())
            problems.append(
                f"db/sqitch.plan has not the migrations of release {version} before its code, but"
                f" for {', '.join(wrong)}: restore the file as it was in the release, and append"
                " what is new"
            )
        elif names[at + 1 : at + 2] != [f"@v{version}"] or not _is_frozen(plan, version):
            problems.append(
                f"db/sqitch.plan was edited before its tag @v{version}, which was released: restore"
                " the file as it was in the release, and append what is new"
            )
        elif before <= files.migrations.keys() and plan.lines[at].note != _code_note(
            version, deploy_digest(files, plan.releases, version)
        ):
            problems.append(
                f"the deploy scripts of release {version} are no longer what they were: restore"
                " db/schema and db/releases, and what writes them (roost.database.sqitch_scripts)"
            )
    return problems


def _is_frozen(plan: Plan, version: str) -> bool:
    """Whether the plan up to the tag of a version is what it was when the tag was made."""
    at = plan.text.find(f"\n@v{version} ") + 1
    tag, _, note = plan.text[at:].partition("\n")[0].partition(" # ")
    return note == _tag_note(version, plan.text[:at] + tag)


_PRAGMAS: Final = "%syntax-version=1.0.0\n%project=roost\n\n"
_PLANNER: Final = "Roost <roost@localhost>"
_LINE: Final = re.compile(
    r"(?P<name>(?:schema/|code/|@v)[a-z0-9_.]*[a-z0-9])"
    r" (?P<timestamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) "
    + re.escape(_PLANNER)
    + r"(?: # (?P<note>\S.*))?"
)
