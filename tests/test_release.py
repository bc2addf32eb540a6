"""Making a release: what it writes, what it asks for, and that it is kept."""

from pathlib import Path

import pytest
from tools import release

from roost import __version__
from roost.database.migration_files import (
    MigrationError,
    MigrationFiles,
    read_release_text,
    release_text,
    version_key,
)
from roost.database.migration_form import problems
from roost.database.sqitch_plan import plan_problems
from tests.migrating import add_next_release


@pytest.fixture
def root(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which all is ready for release 9.0.0."""
    monkeypatch.setattr(release, "__version__", "9.0.0")
    root = files.parent
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## 9.0.0 - 2030-01-01\n")
    (root / "tests" / "upgrade").mkdir(parents=True)
    (root / "tests" / "upgrade" / "9.0.0.sql").write_text("SELECT 1;\n")
    return root


def test_a_release(root: Path, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release.main(root)
    assert capsys.readouterr().out == (
        "Released 9.0.0: run make check, commit, and git tag v9.0.0\n"
    )
    found = MigrationFiles.read(files)
    assert list(found.releases)[-1] == "9.0.0"
    made = found.releases["9.0.0"]
    assert made.repeatables == found.repeatables
    assert made.migrations == {it.id: it.sha256 for it in found.migrations.values()}
    assert problems(found) == []
    assert plan_problems(found) == []
    with pytest.raises(MigrationError, match=r"9\.0\.0 is released: raise the version in"):
        release.main(root)


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        ("CHANGELOG.md", r"CHANGELOG\.md has no section 9\.0\.0: say there what is new"),
        ("tests/upgrade/9.0.0.sql", r"tests/upgrade/9\.0\.0\.sql is missing: fill every table"),
        ("db/schema/0009.messages.rollback.sql", r"0009\.messages\.sql has no rollback"),
        ("db/verify/0009.messages.sql", r"db/verify/0009\.messages\.sql is missing"),
    ],
)
def test_what_a_release_asks_for(root: Path, files: Path, missing: str, complaint: str) -> None:
    path = root / missing
    if path.name == "CHANGELOG.md":
        path.write_text("# Changelog\n")
    else:
        path.unlink()
    plan = (files / "sqitch.plan").read_text()
    with pytest.raises(MigrationError, match=complaint):
        release.main(root)
    assert (files / "sqitch.plan").read_text() == plan
    assert not (files / "releases" / "9.0.0.sql").exists()


@pytest.mark.parametrize(
    ("name", "text", "refusal"),
    [
        (
            "functions/system/ping.sql",
            "{}-- File: functions/system/evil.sql\nSELECT 1;\n",
            r"db/functions/system/ping\.sql:\d+ begins with -- File:",
        ),
        (
            "functions/system/a ping.sql",
            "CREATE OR REPLACE FUNCTION roost.a()\nRETURNS int\nLANGUAGE sql\nRETURN 1;\n",
            r"db/functions/system/a ping\.sql is not named like a file of functions",
        ),
    ],
)
def test_what_could_not_be_read_again(
    root: Path, files: Path, name: str, text: str, refusal: str
) -> None:
    path = files / name
    path.write_text(text.format(path.read_text() if path.exists() else ""))
    found = MigrationFiles.read(files)
    assert read_release_text(release_text(found.repeatables)) != found.repeatables
    with pytest.raises(MigrationError, match=refusal):
        release.main(root)
    # What writes it looks too.
    with pytest.raises(MigrationError, match=rf"9\.0\.0\.sql would not have .*{name} as it is:"):
        release.write_release(found, "9.0.0")
    assert not list(files.glob("releases/9.0.0.*"))


def test_the_next_release_has_only_what_is_new(root: Path, files: Path) -> None:
    release.main(root)
    before = {path.name: path.read_bytes() for path in (files / "releases").iterdir()}
    plan = (files / "sqitch.plan").read_text()
    add_next_release(files)
    after = {path.name: path.read_bytes() for path in (files / "releases").iterdir()}
    assert before.items() <= after.items()
    assert (files / "sqitch.plan").read_text() == plan


def test_what_is_released_stays_what_it_was() -> None:
    """Whoever changes something below db/ raises the version."""
    files = MigrationFiles.read()
    assert problems(files) == []
    newest = files.releases[list(files.releases)[-1]]
    assert version_key(newest.version) <= version_key(__version__)
    if newest.version == __version__:
        assert newest.repeatables == files.repeatables
        assert newest.migrations == {it.id: it.sha256 for it in files.migrations.values()}
