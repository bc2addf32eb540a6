"""Lets plain yoyo apply functions and triggers too, after it has applied a migration."""

from pathlib import Path

from yoyo import step

from roost.database.migrations import apply_repeatables

step(lambda connection: apply_repeatables(connection, Path(__file__).resolve().parents[1]))
