"""Folders of a host that are searched for keys, certificates and kubeconfigs."""

# Where installers and hands put keys, certificates and kubeconfigs.
ROOTS = (
    "/etc/kubernetes",
    "/etc/kubeasz",
    "/etc/etcd",
    "/etc/calico",
    "/etc/cni",
    "/etc/ansible",
    "/opt/kube",
    "/opt/kubernetes",
    "/opt/k8s",
    "/root",
    "/home",
    "/srv/kubernetes",
    "/usr/local/kubernetes",
    "/var/lib/kubelet",
    "/var/lib/kube-proxy",
    "/var/lib/kubernetes",
    "/var/lib/calico",
)
