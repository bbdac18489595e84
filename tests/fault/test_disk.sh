#!/usr/bin/env bash
# A disk that is full, at many fill levels, and one that can only be read: clear messages, nothing half-written, and all works again afterwards.
set -u
here=$(readlink -f "$(dirname "$0")")
export PYTHONPATH=$here/../lib PYTHONDONTWRITEBYTECODE=1
unset CMK11_CONF
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_CONFIG_HOME=$scratch/config
trap '' XFSZ # a file-size limit is an error, not a signal
mkdir "$scratch/disk"
# A file system of our own where we may mount one, in a namespace that ends with us; else a limit of file size, and modes.
if unshare --mount --propagation private true 2> /dev/null && unshare --mount --propagation private mount -t tmpfs none "$scratch/disk" 2> /dev/null; then
  unshare --mount --propagation private bash -c 'mount -t tmpfs -o size=4m,mode=700 none "$1/disk" && exec /usr/bin/python3 "$2/disk.py" "$1/disk" mounted' - "$scratch" "$here"
elif [ "$(id -u)" = 0 ]; then # modes mean nothing to root: as nobody, on copies
  cp "$CMK11_MODULE" "$CMK11" "$here/disk.py" "$here/../lib/cryptoki.py" "$scratch/" && chown -R 65534:65534 "$scratch" || exit 1
  CMK11_MODULE=$scratch/$(basename "$CMK11_MODULE") CMK11=$scratch/$(basename "$CMK11") PYTHONPATH=$scratch \
    setpriv --reuid=65534 --regid=65534 --clear-groups /usr/bin/python3 "$scratch/disk.py" "$scratch/disk" limited
else
  /usr/bin/python3 "$here/disk.py" "$scratch/disk" limited
fi
