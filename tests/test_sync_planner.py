"""What `roost sync` decides: nothing that anybody wrote is lost, on several devices."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.client.planning import ConflictCopy, MakeFolder, Upload, plan
from tests.syncing_devices import Device, RefusedError, Workspace

EXAMPLES = int(os.environ.get("ROOST_TEST_EXAMPLES", "300"))

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
DEVICES = st.integers(0, 2)
# One of what is there.
PICKS = st.integers(0, 20)
STEPS = st.one_of(
    st.tuples(st.just("write"), DEVICES, PATHS),
    st.tuples(st.just("edit"), DEVICES, PICKS),
    st.tuples(st.just("folder"), DEVICES, PATHS),
    st.tuples(st.just("move"), DEVICES, PICKS, PICKS, NAMES),
    st.tuples(st.just("swap"), DEVICES, PICKS, PICKS),
    st.tuples(st.just("delete"), DEVICES, PICKS),
    st.tuples(st.just("executable"), DEVICES, PICKS),
    st.tuples(st.just("sync"), DEVICES),
    # What the server listed; the plan comes later, when others have been at work.
    st.tuples(st.just("list"), DEVICES),
    # A round that ends after some actions, of the last of which no answer came.
    st.tuples(st.just("broken"), DEVICES, st.integers(0, 4)),
    # What the last plan asked of the server arrives there once more.
    st.tuples(st.just("again"), DEVICES),
)


class History:
    """Everything that people do, and what they have given up knowingly."""

    def __init__(self) -> None:
        self.workspace = Workspace()
        self.devices = [Device(name, self.workspace) for name in ("ada", "grace", "joan")]
        self.written: set[str] = set()
        self.given_up: set[str] = set()
        self._contents = itertools.count(1)
        self._listed: dict[int, dict] = {}  # type: ignore[type-arg]
        self._planned: dict[int, list] = {}  # type: ignore[type-arg]

    def step(  # noqa: PLR0912  # a case each
        self, what: str, which: int, *arguments: object
    ) -> None:
        device = self.devices[which]
        match what, arguments:
            case "write", (str(path),):
                self._write(device, path)
            case "edit", (int(pick),):
                files = [path for path, content in device.listing().items() if content]
                if files:
                    self._write(device, picked(files, pick))
            case "folder", (str(path),):
                make_folders(device, path)
            case "move", (int(pick), int(into), str(name)) if device.disk:
                folders = ["", *(f"{p}/" for p, c in device.listing().items() if c is None)]
                to_path = picked(folders, into) + name
                try_to(lambda: device.move(picked(device.disk, pick), to_path))
            case "swap", (int(pick), int(other)) if device.disk:
                self._swap(device, picked(device.disk, pick), picked(device.disk, other))
            case "delete", (int(pick),) if device.disk:
                self.given_up.update(device.delete(picked(device.disk, pick)))
            case "executable", (int(pick),) if device.disk:
                entry = device.disk[picked(device.disk, pick)]
                entry.executable = entry.content is not None and not entry.executable
            case "sync", ():
                self._run(which, None)
            case "list", ():
                self._listed[which] = dict(self.workspace.nodes)
            case "broken", (int(count),):
                self._run(which, count)
            case "again", ():
                for action in self._planned.get(which, []):
                    try_to(lambda action=action: device.request(action))  # type: ignore[misc]

    def _swap(self, device: Device, path: str, other: str) -> None:
        if not f"{path}/".startswith(f"{other}/") and not f"{other}/".startswith(f"{path}/"):
            device.move(path, "aside")
            device.move(other, path)
            device.move("aside", other)

    def _write(self, device: Device, path: str) -> None:
        make_folders(device, path.rpartition("/")[0])
        content = f"content {next(self._contents)}"
        before = device.write(path, content)
        if device.listing().get(path) == content:
            self.written.add(content)
        if before is not None:
            self.given_up.add(before)

    def _run(self, which: int, count: int | None) -> None:
        device = self.devices[which]
        planned = device.plan(self._listed.pop(which, None))
        actions = [*planned.notes, *planned.actions]
        self._planned[which] = actions
        device.run(actions[:count], answered=None if count is None else count - 1)

    def settle(self) -> None:
        """Everybody syncs until nobody has anything to do; a few rounds have to be enough."""
        for _ in range(15):
            if sum([device.sync() for device in self.devices]) == 0:
                return
        raise AssertionError([device.plan().actions for device in self.devices])


def picked(choices: Iterable[str], pick: int) -> str:
    ordered = sorted(choices)
    return ordered[pick % len(ordered)]


def make_folders(device: Device, path: str) -> None:
    names = path.split("/") if path else []
    for depth in range(1, len(names) + 1):
        try_to(lambda depth=depth: device.make_folder("/".join(names[:depth])))  # type: ignore[misc]


def try_to(do: Callable[[], object]) -> None:
    with contextlib.suppress(RefusedError):
        do()


def check(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    history = History()
    for step in steps:
        history.step(*step)
    history.settle()

    expected = history.workspace.listing()
    for device in history.devices:
        assert device.listing() == expected
        executable = {
            path: node.executable
            for path, node in zip(expected, history.workspace.nodes.values(), strict=True)
        }
        assert {path: entry.executable for path, entry in device.disk.items()} == executable
        # A second round moves nothing.
        assert device.plan().actions == []
    kept = set(expected.values())
    assert history.written - history.given_up - kept == set()


@settings(max_examples=EXAMPLES, deadline=None, database=None, print_blob=True)
@given(st.lists(STEPS, min_size=10, max_size=50))
def test_devices_come_to_be_the_same_and_nothing_is_lost(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    check(steps)


def two_devices(*paths: str) -> tuple[Device, Device]:
    """Both have these files."""
    workspace = Workspace()
    ada, grace = Device("ada", workspace), Device("grace", workspace)
    for path in paths:
        make_folders(ada, path.rpartition("/")[0])
        ada.write(path, f"content of {path}")
    ada.sync()
    grace.sync()
    ada.sync()
    grace.sync()
    return ada, grace


def kinds(device: Device) -> list[str]:
    """What a device would do."""
    return [
        f"{type(action).__name__} {getattr(action, 'side', '')}".strip()
        for action in device.plan().actions
    ]


def test_a_moved_folder_is_one_action() -> None:
    ada, grace = two_devices(*(f"a/{number}" for number in range(20)))
    ada.move("a", "b")
    assert kinds(ada) == ["Move remote"]
    ada.sync()
    assert kinds(grace) == ["Move local"]
    grace.sync()
    assert grace.listing() == ada.listing()


def test_a_rename_is_known_by_its_inode_although_it_was_edited() -> None:
    ada, _ = two_devices("a")
    ada.move("a", "b")
    ada.write("b", "other")
    assert kinds(ada) == ["Move remote", "Upload"]


def test_a_rename_is_known_by_its_content() -> None:
    ada, _ = two_devices("a")
    content = ada.delete("a")[0]
    ada.write("b", content)
    assert kinds(ada) == ["Move remote"]


def test_names_are_swapped() -> None:
    ada, grace = two_devices("a", "b")
    for path, to_path in (("a", "c"), ("b", "a"), ("c", "b")):
        ada.move(path, to_path)
    # By their paths both are other files than before; nothing but contents changes.
    assert kinds(ada) == ["Upload", "Upload"]
    ada.sync()
    grace.sync()
    assert grace.listing() == ada.listing()


def test_folders_that_were_moved_into_each_other() -> None:
    ada, grace = two_devices("a/x", "b/y")
    ada.move("a", "b/a")
    grace.move("b", "a/b")
    for _ in range(3):
        ada.sync()
        grace.sync()
    assert grace.listing() == ada.listing()
    assert sorted(filter(None, ada.listing().values())) == ["content of a/x", "content of b/y"]


def test_a_deletion_does_not_beat_an_edit() -> None:
    ada, grace = two_devices("a/b/c", "a/d")
    ada.delete("a")
    grace.write("a/b/c", "edited")
    ada.sync()
    grace.sync()
    ada.sync()
    expected = {"a": None, "a/b": None, "a/b/c": "edited"}
    assert ada.listing() == grace.listing() == expected


def test_what_both_have_edited_is_kept_twice() -> None:
    ada, grace = two_devices("a")
    ada.write("a", "ada's")
    grace.write("a", "grace's")
    ada.sync()
    assert [type(action) for action in grace.plan().actions] == [ConflictCopy]
    grace.sync()
    grace.sync()
    assert grace.listing() == {"a": "ada's", "a.copy1": "grace's"}


def test_what_both_have_made_alike_is_adopted() -> None:
    ada, grace = two_devices()
    for device in (ada, grace):
        device.make_folder("a")
        device.write("a/b", "the same")
    ada.sync()
    assert grace.plan().actions == []
    assert len(grace.plan().notes) == 2


def test_names_that_differ_in_case_alone_are_reported_and_left() -> None:
    ada, grace = two_devices("read/me", "b")
    grace.make_folder("Read")
    grace.write("Read/you", "grace's")
    grace.move("b", "READ")
    planned = grace.plan()
    assert planned.actions == []
    assert sorted(problem.path for problem in planned.problems) == ["READ", "Read", "Read/you"]
    grace.sync()
    assert grace.listing()["Read/you"] == "grace's"
    # Its content goes on being synced where it is.
    grace.write("READ", "edited")
    grace.sync()
    ada.sync()
    assert ada.listing() == {"read": None, "read/me": "content of read/me", "b": "edited"}


def test_a_rename_in_case_alone() -> None:
    ada, grace = two_devices("readme")
    ada.move("readme", "README")
    ada.sync()
    grace.sync()
    assert grace.listing() == {"README": "content of readme"}


def test_names_that_the_other_side_refuses_are_reported_and_left() -> None:
    ada, grace = two_devices("a", "b")
    ada.write("no1", "x")
    ada.move("b", "no2")
    planned = plan(
        ada.workspace.nodes,
        ada.scan(),
        ada.synced,
        not_remote=lambda name: "it is called no" if name.startswith("no") else None,
    )
    assert planned.actions == []
    assert sorted(problem.path for problem in planned.problems) == ["no1", "no2"]

    ada.sync()
    planned = plan(
        grace.workspace.nodes,
        grace.scan(),
        grace.synced,
        not_local=lambda name: "it is called no" if name.startswith("no") else None,
    )
    assert planned.actions == []
    assert sorted(problem.path for problem in planned.problems) == ["no1", "no2"]


def test_a_file_in_the_place_of_a_folder() -> None:
    ada, grace = two_devices("a/b")
    grace.write("a/c", "grace's")
    ada.delete("a")
    ada.write("a", "ada's")
    for _ in range(3):
        ada.sync()
        grace.sync()
    assert ada.listing() == grace.listing()
    assert {"ada's", "grace's"} <= set(ada.listing().values())


def test_many_files() -> None:
    """So many are planned in a moment, since nothing looks at all of them for each of them."""
    workspace = Workspace()
    ada = Device("ada", workspace)
    for number in range(20_000):
        folder = f"{number % 200}"
        if number < 200:
            ada.make_folder(folder)
        ada.write(f"{folder}/{number}", f"{number}")
    started = time.perf_counter()
    planned = ada.plan()
    assert time.perf_counter() - started < 10
    assert sum(isinstance(action, Upload) for action in planned.actions) == 20_000
    assert sum(isinstance(action, MakeFolder) for action in planned.actions) == 200
