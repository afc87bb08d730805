#!/bin/sh
# Builds Kubernetes 1.20.2 from Debian's source package, which is unpacked below /build.
# Runs inside a bookworm of its own (see lab/debian_source.py); leaves the commands in /out.
set -eu
cd /build/kubernetes-*/

# The vendored 1.0.1 panics in what Go >= 1.18 compiled.
rm -r vendor/github.com/modern-go/reflect2
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/

export PATH="/usr/lib/go-1.19/bin:$PATH" HOME=/build GOPATH="$PWD/.go"
export CGO_ENABLED=0 # as Debian builds it: then they run on any host
mkdir -p .go/src/k8s.io
ln -s ../../.. .go/src/k8s.io/kubernetes

export KUBE_GIT_VERSION_FILE=/build/version
cat > "$KUBE_GIT_VERSION_FILE" <<EOF
KUBE_GIT_COMMIT=faecb196815e248d3ecfb03c680a4507229c2a56
KUBE_GIT_TREE_STATE=archive
KUBE_GIT_VERSION=v1.20.2
KUBE_GIT_MAJOR=1
KUBE_GIT_MINOR=20
EOF

commands="kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet"
# In two steps: at once, make would compile before the generated files are all there.
make generated_files
# With -v each package is named when it is compiled.
# shellcheck disable=SC2086 # one word each is meant
make WHAT="-v $(printf 'cmd/%s ' $commands)"
mkdir /out
for command in $commands; do
    cp "_output/bin/$command" /out/
done
