"""The arguments of `roost sync`, apart from what carries it out: other commands start without."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder; made where missing")
    parser.add_argument("--workspace", metavar="NAME", required=True, help="its name, path or id")
    parser.add_argument(
        "--create", action="store_true", help="make the workspace where there is none of that name"
    )
    parser.add_argument(
        "--url", help="address of the server (ROOST_URL, else from ROOST_HOST and ROOST_PORT)"
    )
    parser.add_argument("--email", help="who you are (ROOST_EMAIL, or who you were before)")
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        type=Path,
        help="has the password in its first line; only you may read it (ROOST_PASSWORD, or asked)",
    )
    parser.add_argument("--once", action="store_true", help="end when both are in step")
