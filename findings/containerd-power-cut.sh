#!/bin/sh
# containerd 1.6.20 (Debian bookworm; 2.4.2 is the same): an image, and a power cut 8 s after its import.
#
# One would guess: an image that containerd has unpacked and lists as complete is on the disk, or it is
#   unpacked again.
# What happens: containerd writes to the disk that it has unpacked the image, and leaves the unpacked files
#   to the kernel, which may take half a minute. After a power cut in between, the files are there, with
#   their names and modes, and empty; containerd counts the image as unpacked, and it stays so: a pod ends
#   with "exec format error" until somebody deletes image and content. From 1.7.26 on there is a switch,
#   off by default: sync_fs of the diff service (containerd #10284, #11267).
#   (Its own `uuid` is empty as well then, and `ctr version` an error: invalid UUID length.)
# Seen:
#   before: 8388608 bytes
#   after:  0 bytes, complete, unpacked: true
set -eu
[ "$(id -u)" = 0 ] || {
    echo "needs root, loop devices and ext4" >&2
    exit 2
}
work=$(mktemp -d)
pid=
clean_up() {
    [ -z "$pid" ] || { kill "$pid" && wait "$pid" || :; }
    umount "$work/disk" 2>/dev/null || :
    rm -rf "$work"
}
trap clean_up EXIT
chmod 755 "$work" # apt downloads as a user of its own
(cd "$work" && apt-get download -q containerd >/dev/null 2>&1) || {
    echo "needs apt-get with bookworm's lists (apt-get update)" >&2
    exit 2
}
dpkg-deb -x "$work"/containerd_*.deb "$work/root"
"$work/root/usr/bin/containerd" --version | grep -F " 1.6." || {
    echo "another version" >&2
    exit 1
}
mkdir "$work/disk"
truncate -s 256M "$work/disk.img"
mkfs.ext4 -q -F "$work/disk.img"
mount -o loop "$work/disk.img" "$work/disk" || exit 2

cat >"$work/config.toml" <<END
version = 2
root = "$work/disk/containerd"
state = "$work/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
END
start() { # start SOCKET: one each, for what ends removes its own
    socket=$work/$1
    "$work/root/usr/bin/containerd" -a "$socket" -c "$work/config.toml" >"$work/log" 2>&1 &
    pid=$!
    until ctr images ls >/dev/null 2>&1; do
        kill -0 "$pid"
        sleep 0.1
    done
}
ctr() { "$work/root/usr/bin/ctr" -a "$socket" "$@"; }
size() { find "$work/disk/containerd" -path '*/fs/program' -printf '%s bytes'; }

# An image of one layer with one file, as `docker save` writes it.
python3 - "$work/image.tar" <<'END'
import hashlib, io, json, os, sys, tarfile

def add(tar, name, content, mode=0o644):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))

layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as tar:
    add(tar, "program", os.urandom(8 << 20), 0o755)
digest = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
config = {"architecture": "amd64", "os": "linux", "config": {}}
config["rootfs"] = {"type": "layers", "diff_ids": [digest]}
manifest = [{"Config": "config.json", "RepoTags": ["example.org/x:1"], "Layers": ["layer.tar"]}]
with tarfile.open(sys.argv[1], "w") as tar:
    add(tar, "manifest.json", json.dumps(manifest).encode())
    add(tar, "config.json", json.dumps(config).encode())
    add(tar, "layer.tar", layer.getvalue())
END
start first
ctr images import "$work/image.tar" >/dev/null
before=$(size)
echo "before: $before"
sleep 8                                 # the file system writes names every 5 s
cp "$work/disk.img" "$work/written.img" # what it has written by now
kill "$pid" && wait "$pid" || :
umount "$work/disk"
mv "$work/written.img" "$work/disk.img"
mount -o loop "$work/disk.img" "$work/disk"
start second
after=$(size)
state=$(ctr images check | awk '$1 == "example.org/x:1" { print $4 ", unpacked: " $NF }')
echo "after:  $after, $state"
[ "$before" = "8388608 bytes" ] && [ "$after" = "0 bytes" ]
[ "$state" = "complete, unpacked: true" ]
