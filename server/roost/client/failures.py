"""What of a plan is left to the next one, since something before it did not come about."""

from roost.client.planning import Action, Adopt, Delete, Download, Forget, MakeFolder, Move, Upload


class Failures:
    """Files and folders of which something has failed, by id and by path, with what is in them."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._paths: set[str] = set()

    def note(self, action: Action) -> None:
        """It has failed; so whatever counts on it would meet something else."""
        self._ids.add(action.node.id)
        if isinstance(action, Move | MakeFolder | Delete):
            self._paths.update(_paths(action))

    def hold(self, action: Action) -> bool:
        """Whether an action counts on one that has failed; then it counts as failed itself."""
        if not self._ids or isinstance(action, Adopt | Forget):
            return False
        held = action.node.id in self._ids or any(
            above in self._paths for path in _paths(action) for above in _up(path)
        )
        if held:
            self.note(action)
        return held


def _paths(action: Action) -> tuple[str, ...]:
    match action:
        case Move() | Upload():
            return (action.path, action.to_path)
        case MakeFolder() | Delete() | Download():
            return (action.path,)
        case _:
            return ()


def _up(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[:depth]) for depth in range(1, len(names) + 1)]
