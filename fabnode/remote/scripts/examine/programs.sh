# Programs that run: command lines of units, and whether there is a control plane.
# shellcheck shell=sh disable=SC2016,SC2034,SC2086,SC2154 # dollars in single quotes are awk's; parts share variables; lists are split at newlines on purpose

# Ends of the names of options and settings whose values are taken for secrets; lower case.
secret_names='token|pass|passwd|password|passphrase|secret|(api|access|secret|encryption)[-_]?key|psk|jwt|credentials?|creds'

emit_arguments() { # emit_arguments NAME: those on standard input, one a line, without what may be a secret in them
	awk -v name="$1" -v most="$most_args" -v longest="$most_arg_length" -v secret="($secret_names|-pat)" '
		length($0) > longest || NR > most { next }
		hide { hide = 0; print "arg\t" name "\t<hidden>"; next }
		{ low = tolower($0) }
		low ~ "^--?[a-z0-9_-]*" secret "$" { hide = 1 }
		low ~ secret "=" { sub(/=.*/, "=<hidden>") }
		{ gsub(/:\/\/[^\/@ ]*@/, "://<hidden>@") }
		length($0) <= longest { print "arg\t" name "\t" $0 }'
}

last_value() { # last_value FLAG: of the arguments on standard input, one a line
	env "flag=$1" awk '
		BEGIN { flag = "^--?" ENVIRON["flag"] }
		after { print; after = 0; next } $0 ~ flag "$" { after = 1 } sub(flag "=", "")' | tail -n 1
}

# The programs of units, by the process that systemd started for each. What a process calls itself
# anybody chooses: it decides nothing. Nothing that is found is run.
configs= anchors= docker_command= docker_config= kubelet_command= # of a configuration, before its path: what its relative paths are relative to
services='kubelet.service
kube-proxy.service
docker.service
etcd.service
kube-apiserver.service
kube-controller-manager.service
kube-scheduler.service'
# Settings that name what decides whom a program obeys.
anchor_flags='client-ca-file|kubeconfig|bootstrap-kubeconfig|tls-cert-file|tls-private-key-file|pod-manifest-path|config-dir|volume-plugin-dir|image-credential-provider-config|image-credential-provider-bin-dir|tlscacert|tlscert|tlskey'
anchor_keys='clientCAFile|kubeconfig|tlsCertFile|tlsPrivateKeyFile|staticPodPath|volumePluginDir|tlscacert|tlscert|tlskey'

pids=$(systemctl show -p MainPID -- $services | sed -n 's/^MainPID=//p')
set -- $pids
[ $# -eq 7 ] || emit limit "which programs run: systemctl did not answer for all of their units"
for service in $services; do
	pid=${1:-0}
	[ $# -eq 0 ] || shift
	name=${service%.service}
	[ "$name" != kubelet ] || kubelet_pid=$pid
	case $name in
	etcd | kube-*r)
		[ "$pid" = 0 ] || emit control "$name"
		continue
		;;
	docker) name=dockerd ;;
	esac
	place=down
	[ "$pid" = 0 ] || place=host
	if is_roots_process "$pid"; then
		command_line=$(quiet cat "/proc/$pid/cmdline" | tr '\0' '\n')
		cwd=$(quiet readlink -- "/proc/$pid/cwd")
	else
		start=$(systemctl show -p ExecStart,WorkingDirectory -- "$service")
		cwd=$(printf '%s\n' "$start" | sed -n 's/^WorkingDirectory=!\{0,1\}//p')
		: "${cwd:=/}"
		command_line=$(printf '%s\n' "$start" | sed -n 's/.*argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | head -n 1 | tr ' ' '\n')
		case $pid:$mismatch in
		0:*) ;;
		*:control) emit limit "the command line of $name as it runs: others than root control the process or its file, so its unit file's is judged" ;;
		*) emit unseen "the command line of $name as it runs: it has namespaces of its own or has ended, so its unit file's is judged" ;;
		esac
	fi
	judge_unit "$service"
	[ -n "$command_line" ] || continue
	[ -n "$unit_path" ] || judge_local "$service"
	case $name in kubelet) kubelet_command=$command_line ;; dockerd) docker_command=$command_line ;; esac
	emit program "$name" $place
	printf '%s\n' "$command_line" | emit_arguments "$name"
	case $cwd in /*) cwd=$(printf '%s\n' "$cwd" | resolve_paths /) ;; esac
	case $cwd/ in
	*"$nl"* | *"$tab"* | */../*) cwd= ;;
	/*) emit cwd "$name" "$cwd" ;;
	*) cwd= ;; # `~`, or out of reach
	esac
	flag=config
	[ "$name" != dockerd ] || flag='config-file'
	config=$(printf '%s\n' "$command_line" | last_value "$flag" | resolve_paths "$cwd")
	[ "$name" != dockerd ] || docker_config=${config:=/etc/docker/daemon.json}
	folder=$cwd
	# As kubernetes `pkg/kubelet/kubeletconfig/configfiles` has it.
	[ "$name" != kubelet ] || folder=${config%/*}/
	[ -z "$config" ] || configs=$configs$folder$tab$config$nl
	anchors=$anchors$(printf '%s\n' "$command_line" | awk -v wanted="^(${anchor_flags})\$" '
		after { print; after = 0; next }
		/^--?[a-z]/ {
			at = index($0, "=")
			flag = at ? substr($0, 1, at - 1) : $0
			sub(/^--?/, "", flag)
			gsub(/_/, "-", flag)
			if (flag ~ wanted) { if (at) print substr($0, at + 1); else after = 1 }
		}' | resolve_paths "$cwd")$nl
	[ "$name" != kubelet ] || {
		# Who writes there registers plugins and devices, and has their programs run (FlexVolume's, by default there).
		root=$(printf '%s\n' "$command_line" | last_value root-dir | resolve_paths "$cwd")
		for folder in "${root:=/var/lib/kubelet}" "$root/pki" "$root/plugins_registry" "$root/device-plugins"; do
			judge_named swayed "$service" "$folder"
		done
		judge_tree unguarded "$service" /usr/libexec/kubernetes/kubelet-plugins/volume/exec 2
		# By what it shows in a handshake the kubelet is known; its key stays here, see examine/anchors.
		folder=$(printf '%s\n' "$command_line" | last_value cert-dir | resolve_paths "$cwd")
		for file in kubelet-server-current.pem kubelet.crt; do
			anchors=$anchors${folder:-/var/lib/kubelet/pki}/$file$nl
		done
	}
	# Where none is named.
	[ "$name" != dockerd ] || for file in ca cert key; do anchors=$anchors/root/.docker/$file.pem$nl; done
done

# A control plane without units: processes that are root's in every way, by the file that they run.
set +f
for folder in /proc/[0-9]*; do
	name=
	{ read -r name <"$folder/comm"; } 2>/dev/null || continue
	case $name in kube-apiserver | kube-controller | kube-scheduler | etcd) ;; *) continue ;; esac
	is_roots_process "${folder#/proc/}" || continue
	name=${exe##*/}
	case $name in
	kube-apiserver | kube-controller-manager | kube-scheduler | etcd) emit control "$name" ;;
	esac
done
set -f
for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
	! is_roots_file "/etc/kubernetes/manifests/$name.yaml" || emit control "$name"
done
