"""The local side of `roost sync`: what it finds, remembers and changes, and leaves alone."""

import contextlib
import hashlib
import io
import os
import random
import socket
import time
import unicodedata
from pathlib import Path

import pytest

from roost.client.chunking import AVERAGE, LARGEST, SMALLEST, cut, cut_file
from roost.client.credentials import Credentials, CredentialsError, load, password, save
from roost.client.disk import ChangedError, DamagedError, Disk
from roost.client.ignoring import Ignored, IgnoreError
from roost.client.locking import InUseError, locked
from roost.client.names import copy_name, why_not_local, why_not_remote
from roost.client.progress import printable
from roost.client.scanning import Scan, scan
from roost.client.state import Hashed, State, StateError
from roost.client.tree import Node


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """An empty folder."""
    made = Disk(tmp_path)
    made.prepare()
    return made


def paths(scanned: Scan) -> list[str]:
    return sorted(found.path for found in scanned.found)


def node_at(disk: Disk, path: str) -> Node:
    (found,) = (found for found in scan(disk.root, Ignored(), {}).found if found.path == path)
    return Node(
        "1",
        None,
        path,
        found.folder,
        found.hash,
        found.size,
        found.executable,
        1,
        found.inode,
        found.modified_ns,
    )


def test_only_what_has_changed_is_read(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
        # Long enough ago for its times to say something.
        os.utime(tmp_path / name, (1, 1))
    known = aged(scan(tmp_path, Ignored(), {}).put)
    assert set(known) == {"a", "b", "c"}

    read: list[int] = []
    again = scan(tmp_path, Ignored(), known, read=read.append)
    assert read == []
    assert again.put == {}

    # The same size and the same time of modification; the inode's own time can't be set back.
    (tmp_path / "b").write_text("B")
    os.utime(tmp_path / "b", (1, 1))
    (tmp_path / "c").unlink()
    again = scan(tmp_path, Ignored(), known, read=read.append)
    assert read == [1]
    assert again.put["b"].hash == hashlib.sha256(b"B").hexdigest()
    assert again.gone == {"c"}


def aged(hashed: dict[str, Hashed]) -> dict[str, Hashed]:
    """As if they had been hashed long after they were written."""
    return {path: each._replace(seen_ns=each.seen_ns + 10**10) for path, each in hashed.items()}


def test_what_was_changed_while_it_was_hashed_is_hashed_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    known = scan(tmp_path, Ignored(), {}).put
    read: list[int] = []
    scan(tmp_path, Ignored(), known, read=read.append)
    assert read == [1]


def test_what_is_no_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "folder link").symlink_to("/")
    os.mkfifo(tmp_path / "pipe")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(os.path.relpath(tmp_path / "socket"))
        (tmp_path / os.fsdecode(b"not \xff utf-8")).write_text("x")
        scanned = scan(tmp_path, Ignored(), {})
    assert paths(scanned) == ["a"]
    assert sorted(problem.path for problem in scanned.problems) == [
        "folder link",
        "link",
        "not \\xff utf-8",
        "pipe",
        "socket",
    ]


def test_a_folder_that_can_not_be_read_has_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    scandir = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    scanned = scan(tmp_path, Ignored(), {})
    assert [problem.path for problem in scanned.problems] == ["a"]


def test_names_are_composed_and_found_again(disk: Disk) -> None:
    composed = unicodedata.normalize("NFC", "Ü/é.txt")
    apart = unicodedata.normalize("NFD", composed)
    (disk.root / apart).parent.mkdir()
    (disk.root / apart).write_text("x")
    scanned = scan(disk.root, Ignored(), {})
    disk.use_names(scanned.real)
    assert paths(scanned) == sorted([composed.partition("/")[0], composed])
    assert disk.at(composed).read_text() == "x"
    # What is new in it goes into the folder that is there.
    assert disk.at(f"{composed.partition('/')[0]}/new").parent.exists()


def test_two_names_that_look_the_same_are_reported(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        (tmp_path / unicodedata.normalize(form, "é")).write_text(form)
    if len(list(tmp_path.iterdir())) == 2:
        scanned = scan(tmp_path, Ignored(), {})
        assert len(scanned.found) == len(scanned.problems) == 1


def test_the_ignore_file(tmp_path: Path) -> None:
    (tmp_path / ".roostignore").write_text(
        "# comment\n*.o\n!main.o\n/build/\ndocs/**/*.pdf\n!/.roost-sync/\n"
    )
    ignored = Ignored.read(tmp_path)
    for path, folder, expected in (
        ("a.o", False, True),
        ("main.o", False, False),
        ("build", True, True),
        ("build", False, False),
        ("x/build", True, False),
        ("docs/a/b/c.pdf", False, True),
        (".roost-sync", True, True),
        (".DS_Store", False, True),
    ):
        assert ignored(path, folder=folder) is expected, path
    (tmp_path / ".roostignore").write_bytes(b"\xff")
    with pytest.raises(IgnoreError):
        Ignored.read(tmp_path)


def test_the_state_is_kept(tmp_path: Path) -> None:
    node = Node("1", None, "ä", False, "ab", 2**40, True, 3, (2**63 + 1, 2**64 - 1), 17)
    folder = Node("2", "1", "b", folder=True)
    hashed = Hashed(1, 2, 3, 2**64 - 1, "ab", 4)
    with State(tmp_path / "state") as state:
        state.note_synced({"1": node, "2": folder}, ["1", "2"])
        state.note_remote({"2": folder}, ["1", "2"], "17")
        state.note_hashed({"a": hashed, "b": hashed}, [])
    with State(tmp_path / "state") as state:
        assert state.synced() == {"1": node, "2": folder}
        assert state.remote() == {"2": folder}
        assert state.get("cursor") == "17"
        assert state.hashed() == {"a": hashed, "b": hashed}
        state.note_synced({}, ["1"])
        state.note_hashed({}, ["b"])
        assert set(state.synced()) == {"2"}
        assert set(state.hashed()) == {"a"}


def test_a_state_that_can_not_be_used(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"x" * 5000)
    with pytest.raises(StateError, match="move it away"):
        State(tmp_path / "damaged")
    with State(tmp_path / "newer") as state:
        state.set("format", "2")
    with pytest.raises(StateError, match="another version"):
        State(tmp_path / "newer")


def downloaded(disk: Disk, content: bytes, **node: object) -> tuple[Path, Node]:
    made = Node(
        "1",
        None,
        "a",
        hash=hashlib.sha256(content).hexdigest(),
        size=len(content),
        **node,  # type: ignore[arg-type]
    )
    part = disk.part(made)
    part.write_bytes(content)
    return part, made


def test_a_download_takes_its_place(disk: Disk) -> None:
    part, node = downloaded(disk, b"new", executable=True, modified_ns=10**18)
    disk.install(part, node, "a", None)
    target = disk.root / "a"
    assert target.read_bytes() == b"new"
    assert target.stat().st_mtime_ns == 10**18
    assert os.access(target, os.X_OK)
    assert not part.exists()

    known = node_at(disk, "a")
    part, node = downloaded(disk, b"newer")
    disk.install(part, node, "a", known)
    assert target.read_bytes() == b"newer"


def test_a_download_overwrites_nothing_that_somebody_wrote(disk: Disk) -> None:
    (disk.root / "a").write_text("here")
    known = node_at(disk, "a")
    part, node = downloaded(disk, b"new")
    with pytest.raises(ChangedError):
        disk.install(part, node, "a", None)
    (disk.root / "a").write_text("changed")
    with pytest.raises(ChangedError):
        disk.install(part, node, "a", known)
    (disk.root / "a").unlink()
    (disk.root / "a").symlink_to("elsewhere")
    with pytest.raises(ChangedError):
        disk.install(part, node, "a", known)
    assert (disk.root / "a").is_symlink()


def test_a_damaged_download_is_not_used(disk: Disk) -> None:
    part, node = downloaded(disk, b"new")
    part.write_bytes(b"bad")
    with pytest.raises(DamagedError):
        disk.install(part, node, "a", None)
    assert not part.exists()
    assert not (disk.root / "a").exists()


def test_nothing_is_written_through_a_link(
    disk: Disk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (disk.root / "b").symlink_to(outside)
    part, node = downloaded(disk, b"new")
    with pytest.raises(ChangedError):
        disk.install(part, node, "b/a", None)
    with pytest.raises(ChangedError):
        disk.make_folder("b/c")
    with pytest.raises(ChangedError):
        disk.make_folder("b")
    assert list(outside.iterdir()) == []


def test_a_deletion_spares_what_was_changed(disk: Disk) -> None:
    target = disk.root / "a"
    target.write_text("a")
    known = node_at(disk, "a")
    target.write_text("b")
    with pytest.raises(ChangedError):
        disk.delete(known, "a")
    assert target.read_text() == "b"
    disk.delete(node_at(disk, "a"), "a")
    assert not target.exists()
    disk.delete(known, "a")

    (disk.root / "f").mkdir()
    folder = node_at(disk, "f")
    (disk.root / "f/x").write_text("x")
    with pytest.raises(ChangedError):
        disk.delete(folder, "f")
    (disk.root / "f/x").unlink()
    disk.delete(folder, "f")
    assert not (disk.root / "f").exists()


def test_a_deletion_that_was_broken_off_is_taken_back(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (disk.root / "f").mkdir()
    (disk.root / "f/a").write_text("a")
    known = node_at(disk, "f/a")
    (disk.root / "f/a").write_text("changed, and nobody has seen it")

    def killed(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("roost.client.disk.hash_file", killed)
        with pytest.raises(KeyboardInterrupt):
            disk.delete(known, "f/a")
    assert not (disk.root / "f/a").exists()
    disk.clear()
    assert (disk.root / "f/a").read_text() == "changed, and nobody has seen it"
    assert list((disk.state / "tmp").iterdir()) == []


def test_a_move_takes_nobodys_place(disk: Disk) -> None:
    (disk.root / "a").write_text("a")
    (disk.root / "b").write_text("b")
    known = node_at(disk, "a")
    with pytest.raises(ChangedError):
        disk.move(known, "a", "b")
    disk.move(known, "a", "c")
    assert (disk.root / "c").read_text() == "a"
    with pytest.raises(ChangedError):
        disk.move(known, "a", "d")
    # Another file by its name.
    with pytest.raises(ChangedError):
        disk.move(known, "b", "d")


def test_one_client_for_a_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(InUseError, match=str(os.getpid())), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_chunks_are_of_the_sizes_that_the_server_takes(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(20 * LARGEST + 5)
    (tmp_path / "a").write_bytes(data)
    made = cut_file(tmp_path / "a")
    assert made.hash == hashlib.sha256(data).hexdigest()
    assert made.size == len(data)
    assert b"".join(data[c.start : c.start + c.size] for c in made.chunks) == data
    sizes = [chunk.size for chunk in made.chunks]
    assert max(sizes) <= LARGEST
    assert min(sizes[:-1]) >= SMALLEST // 2
    assert AVERAGE / 2 < sum(sizes) / len(sizes) < 2 * AVERAGE
    assert cut(io.BytesIO(b"")).chunks == []
    # The same everywhere, or nothing is found again: this is what the first cut of zeros is.
    assert cut(io.BytesIO(bytes(3 * LARGEST))).chunks[0].size == LARGEST


def test_an_insertion_moves_few_cuts() -> None:
    data = random.Random(4).randbytes(100 * LARGEST)
    before = {chunk.hash for chunk in cut(io.BytesIO(data)).chunks}
    changed = data[: 50 * LARGEST] + random.Random(5).randbytes(LARGEST + 3) + data[51 * LARGEST :]
    started = time.perf_counter()
    after = cut(io.BytesIO(changed)).chunks
    seconds = time.perf_counter() - started
    assert sum(chunk.size for chunk in after if chunk.hash not in before) < 4 * LARGEST
    assert len(changed) / seconds > 50e6


def test_names_that_somebody_can_not_have() -> None:
    for name in ("a\\b", "a\nb", "x" * 256, "\udcff", "CON", "nul.txt", "a.", "a "):
        assert why_not_remote(name) is not None, name
    for name in ("a", "Grüße 你好 🎉", "console", ".hidden", "a b", "x" * 255):
        assert why_not_remote(name) is None, name
        assert why_not_local(name, windows=True) is None, name
    assert why_not_local("a:b", windows=False) is None
    assert why_not_local("a:b", windows=True) is not None


def test_the_name_of_a_copy() -> None:
    assert copy_name("a.txt", "x 1") == "a (conflict, x 1).txt"
    assert copy_name("a", "x 1", 2) == "a (conflict, x 1 2)"
    assert copy_name(".profile", "x 1") == ".profile (conflict, x 1)"
    assert len(copy_name("ä" * 127 + ".t", "x 1").encode()) <= 255


def test_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Credentials("http://x", "ada@example.com", "secret", "1")
    assert "secret" not in repr(kept)
    assert load(tmp_path) is None
    save(tmp_path, kept)
    save(tmp_path, kept)
    assert load(tmp_path) == kept
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "credentials.json").write_text("{")
    assert load(tmp_path) is None

    assert password("ada", {"ROOST_PASSWORD": "x"}, None) == "x"
    file = tmp_path / "password"
    file.write_text("from a file\nmore\n")
    file.chmod(0o644)
    with pytest.raises(CredentialsError, match="chmod 600"):
        password("ada", {}, file)
    file.chmod(0o600)
    assert password("ada", {}, file) == "from a file"
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CredentialsError, match="ROOST_PASSWORD"):
        password("ada", {}, None)


def test_names_are_shown_without_control_characters() -> None:
    assert printable("a\x1b[2J\nb\udcff") == "a\\x1b[2J\\nb\\udcff"
