"""
Other tools' descriptions of a cluster (kubeasz, Ansible and kubespray, k0sctl, kubeadm), as ours.

Text to facts (a module per format), facts to settings (a module per tool), settings to a first
configuration and a report. Nothing that is read is executed, evaluated or made an object.
"""
