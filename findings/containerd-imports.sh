#!/bin/sh
# containerd 1.6.20 (Debian bookworm): what a drop-in under `imports` does to the file that names it.
#
# One would guess: as with systemd's drop-ins, a setting that the imported file names is changed, and
#   all others stay.
# What happens: the whole section of a plugin is replaced. A drop-in of one line for the CRI plugin
#   takes the pause image and the registries of config.toml away, which go back to their defaults.
#   (2.0 merges within sections; 1.x is what these distributions still ship.)
# Seen:
#   alone:     sandbox_image = "registry.example.org/pause:3.9", config_path = "/etc/containerd/certs.d"
#   with a drop-in that sets max_container_log_line_size alone:
#              sandbox_image = "registry.k8s.io/pause:3.6",      config_path = ""
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt downloads as a user of its own
(cd "$work" && apt-get download -q containerd >/dev/null 2>&1) || {
    echo "needs apt-get with bookworm's lists (apt-get update)" >&2
    exit 2
}
dpkg-deb -x "$work"/containerd_*.deb "$work/root"
containerd=$work/root/usr/bin/containerd
"$containerd" --version | grep -F " 1.6." || {
    echo "another version" >&2
    exit 1
}

cat >"$work/alone.toml" <<'END'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.example.org/pause:3.9"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
END
{ echo "imports = ['$work/drop-in.toml']" && cat "$work/alone.toml"; } >"$work/importing.toml"
cat >"$work/drop-in.toml" <<'END'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  max_container_log_line_size = 4096
END
dump() {
    "$containerd" -c "$work/$1.toml" config dump |
        grep -E '^ +(sandbox_image|config_path|max_container_log_line_size) =' | tr -s ' '
}
echo "alone:" && dump alone
echo "with the drop-in:" && dump importing
[ "$(dump alone | grep -c example.org)" = 1 ]
[ "$(dump importing | grep -c -e example.org -e certs.d)" = 0 ]
dump importing | grep -q "= 4096"
