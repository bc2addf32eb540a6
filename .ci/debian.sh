#!/usr/bin/env bash
# Installs the Debian packages that `make check` needs and that are missing. Made for Debian 12,
# whose PostgreSQL is the oldest that Roost supports.
set -euo pipefail

packages=(
    postgresql-15 postgresql-15-plpgsql-check
    libtap-parser-sourcehandler-pgtap-perl # pg_prove
    sqitch libdbd-pg-perl
)

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $state == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    exit
fi

if ! command -v apt-get >/dev/null || ((EUID != 0)); then
    echo "make check needs packages of Debian 12 that are missing here." \
        "As root: apt-get install ${missing[*]}" >&2
    exit 1
fi

# The tests start PostgreSQL themselves. A newly installed postgresql-15 would also make a cluster
# of its own and start it; what keeps it from that is there for this installation only.
if [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
    policy=/etc/postgresql-common/createcluster.d/roost.conf
    mkdir -p "${policy%/*}"
    echo 'create_main_cluster = false' > "$policy"
    trap 'rm -f "$policy"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get --quiet --quiet --option DPkg::Lock::Timeout=300 --option Dpkg::Use-Pty=0)
echo "Installing ${missing[*]}"
if ! {
    "${apt[@]}" update &&
        "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null
}; then
    echo "apt-get cannot install ${missing[*]}: make check needs them, and Debian 12 has them" >&2
    exit 1
fi
