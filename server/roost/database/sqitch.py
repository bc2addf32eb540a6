"""
The same migrations for sqitch (https://sqitch.org): a project written from the folder db.

A versioned migration is the change schema/<id>. The functions and triggers of a release are one
change, code/<version>, after the release's migrations and before its tag @v<version>. That change
also writes what roost.migration_checksums says, so that Roost finds there what it expects.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from roost.database.migration_files import MigrationError, MigrationFiles
from roost.database.migration_form import refuse_malformed
from roost.database.sqitch_plan import plan_to_export
from roost.database.sqitch_scripts import scripts_of


def export(folder: Path, directory: Path | None = None) -> list[str]:
    """
    Writes a sqitch project into a folder, which is made, or replaced where it is an earlier export.
    The same files below db/ give the same bytes. Returns the names of its changes, in order.

    Raises MigrationError, having written nothing, when the files or the plan have problems, or the
    folder holds something else.
    """
    files = MigrationFiles.read(directory)
    refuse_malformed(files)
    plan = plan_to_export(files)
    scripts = scripts_of(files, plan.releases)
    _replace(folder, {"sqitch.conf": _CONF, **scripts, "sqitch.plan": plan.text})
    return plan.changes


def _replace(folder: Path, contents: Mapping[str, str]) -> None:
    conf = folder / "sqitch.conf"
    if folder.exists():
        if not folder.is_dir():
            raise MigrationError(f"{folder} is a file: name a folder")
        is_ours = conf.is_file() and conf.read_text(encoding="utf-8").startswith(_MARK)
        if any(folder.iterdir()) and not is_ours:
            raise MigrationError(
                f"{folder} holds something that roost sqitch has not written: name another folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    # Without its plan the folder is no project: an export that is cut short does not look like one.
    (folder / "sqitch.plan").unlink(missing_ok=True)
    for name in ("deploy", "revert", "verify"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")


_MARK: Final = "# Written by roost sqitch"
_CONF: Final = f"""{_MARK}, which replaces this file and everything beside it. What you
# set yourself belongs into your own ~/.sqitch/sqitch.conf, or into the environment (SQITCH_TARGET).
[core]
	engine = pg
	plan_file = sqitch.plan
	top_dir = .
[deploy]
	# What was deployed before an error stays; the default would revert all of it.
	mode = change
	verify = true
[rebase]
	mode = change
	verify = true
"""
