#!/usr/bin/env bash
# Somebody who can write the store, and knows no PIN, edits it: every edit is noticed or provably without effect, and restoring the file makes all work again.
set -u
here=$(dirname "$(readlink -f "$0")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset CMK11_CONF CMK11_PIN CMK11_SO_PIN
export PYTHONPATH=$here/../lib PYTHONDONTWRITEBYTECODE=1 HOME=$scratch XDG_CONFIG_HOME=$scratch/config
/usr/bin/python3 "$here/store_edits.py" "$scratch"
