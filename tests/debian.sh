#!/usr/bin/env bash
# Runs pythons.sh in Debian's newest suite, for interpreters that this machine does not have: `debian.sh WHEEL
# PYTHON...`. It wants root, and debootstrap; what it installs stays in target/debian for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
wheel=$(realpath "$1")
shift
debian=${DEBIAN:-$PWD/target/debian}

if [ ! -e "$debian/usr/bin/python3" ]; then
    debootstrap --variant=minbase --include=ca-certificates,python3-venv,tzdata,procps sid "$debian"
fi
cp -L /etc/resolv.conf /etc/hosts "$debian/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$debian/etc/ssl/certs/"
mkdir -p "$debian/proc" "$debian/dev/shm"
mount --bind /proc "$debian/proc" && mount --bind /dev "$debian/dev"
trap 'umount "$debian/proc" "$debian/dev"; rm -rf "$debian/suite"' EXIT
packages=()
for name in "$@"; do packages+=("$name" "$name-venv"); done
DEBIAN_FRONTEND=noninteractive chroot "$debian" apt-get install -qq --yes --no-install-recommends "${packages[@]}" > /dev/null

mkdir -p "$debian/suite/tree"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$debian/suite/tree"
cp "$wheel" "$debian/suite"
chroot "$debian" env HOME=/root "$(command -v bash)" "/suite/tree/tests/pythons.sh" "/suite/$(basename "$wheel")" "$@"
