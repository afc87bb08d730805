# Runtimes: what containerd, docker, their adapters and CRI-O run as root at each pod's start, and by what.
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # parts share variables; lists are split at newlines on purpose

# Values of their configurations that are programs, folders of programs, and what says which are run.
programs_named='BinaryName|CriuPath|conmon|init-path|monitor_path|path|pinns_path|runtime|runtime_engine|runtime_path|runtimeType|runtime_type|shim|userland-proxy-path'
folders_named='bin_dir|bin_dirs|cni-bin-dir|plugin_path|plugin_dirs'
settings_named='ConfigPath|Root|base_runtime_spec|cni-conf-dir|cdi-spec-dirs|cdi_spec_dirs|conf_dir|conf_template|config_path|data-root|exec-root|hooks_dir|network_dir|plugin_config_path|root|runroot|runtime_config_path|runtime_root|seccomp-profile|seccomp_profile|signature_policy|state'

print_strings() { # print_strings SIGN: strings of TOML (SIGN is =) or JSON (:) on standard input, as KEY<TAB>STRING
	awk -v sign="$1" '
		sign == "=" && !depth && /^[ \t]*\[/ { next }
		{
			rest = $0
			if (sign == "=" && !depth) key = ""
			while (rest != "") {
				letter = substr(rest, 1, 1)
				if (letter == "\"" || letter == "\047") {
					if (letter == "\"") found = match(rest, /^"([^"\\]|\\.)*"/)
					else found = match(rest, /^\047[^\047]*\047/)
					if (!found) next
					word = substr(rest, 2, RLENGTH - 2)
				} else if (match(rest, /^[A-Za-z0-9_.-]+/)) {
					word = substr(rest, 1, RLENGTH)
					letter = ""
				} else {
					if (letter == "#" && sign == "=") next
					if (letter == "[") depth++
					if (letter == "]") depth--
					rest = substr(rest, 2)
					continue
				}
				rest = substr(rest, RLENGTH + 1)
				if (rest ~ ("^[ \t]*" sign)) { sub(/.*\./, "", word); key = word; sub(/^[ \t]*./, "", rest) }
				else if (letter != "") { gsub(/\\\//, "/", word); print key "\t" word }
			}
		}'
}

# Programs that runtimes find by their PATH.
runtime_programs='containerd* runc crun youki runsc kata-* nvidia-* crio* conmon* pinns criu docker* ctr crictl nerdctl'

judge_path() { # judge_path UNIT FOLDER…: where a runtime finds what it runs; containerd in its opt/bin first (containerd `services/opt`)
	judged_unit=$1 programs=
	shift
	IFS=' '
	set +f
	for folder; do
		[ -d "$folder" ] || continue
		for name in $runtime_programs; do
			for file in "$folder"/$name; do [ ! -f "$file" ] || programs=$programs$file$nl; done
		done
	done
	set -f
	IFS=$nl
	for folder; do judge_named unguarded "$judged_unit" "$folder"; done
	for file in $programs; do
		case $file in *"$tab"*) ;; *) judge_named unguarded "$judged_unit" "$file" ;; esac
	done
}

judge_settings() { # judge_settings UNIT FOLDERS STRINGS: as print_strings prints them; FOLDERS: its PATH
	for setting in $3; do
		key=${setting%%"$tab"*} value=${setting#*"$tab"}
		case "|$programs_named|" in *"|$key|"*)
			case $value in
			io.containerd.* | '') ;; # a shim's type: by its PATH
			*/*)
				value=$(printf '%s\n' "$value" | resolve_paths /)
				if [ -d "$value" ]; then judge_tree unguarded "$1" "$value" 2; else judge_named unguarded "$1" "$value"; fi
				;;
			*) for folder in $2; do [ ! -e "$folder/$value" ] || judge_named unguarded "$1" "$folder/$value"; done ;;
			esac
			;;
		esac
		case "|$folders_named|" in *"|$key|"*)
			for value in $(printf '%s\n' "$value" | tr ',' '\n' | resolve_paths /); do judge_tree unguarded "$1" "$value" 1; done
			;;
		esac
		case "|$settings_named|" in *"|$key|"*)
			for value in $(printf '%s\n' "$value" | tr ':' '\n' | resolve_paths /); do
				case $key in
				Root | root | runroot | runtime_root | state | data-root | exec-root) judge_named swayed "$1" "$value" ;; # containers lie there
				*) judge_tree swayed "$1" "$value" 2 ;;
				esac
			done
			;;
		esac
	done
}

# A configuration with the files that it imports: what each names.
judge_configuration() { # judge_configuration UNIT FOLDERS FILE…
	judged_unit=$1 judged_folders=$2 read_configs=$nl
	shift 2
	while [ $# -gt 0 ]; do
		config=$1
		shift
		case $read_configs in *"$nl$config$nl"*) continue ;; esac
		read_configs=$read_configs$config$nl
		[ "$(printf %s "$read_configs" | grep -c .)" -le "$most_executables" ] || {
			emit limit "$judged_unit: configurations beyond the first $most_executables"
			return
		}
		judge_named swayed "$judged_unit" "$config"
		[ $controlled = 1 ] && [ -f "$config" ] || continue
		[ "$(stat -L -c %s -- "$config")" -le "$most_text_size" ] || {
			emit limit "$config: it is larger than 64 KiB"
			continue
		}
		strings=$(print_strings '=' <"$config")
		judge_settings "$judged_unit" "$judged_folders" "$strings"
		for import in $(printf '%s\n' "$strings" | sed -n "s/^imports$tab//p" | resolve_paths "${config%/*}"); do
			judge_named swayed "$judged_unit" "${import%/*}"
			set +f
			for file in $import; do [ ! -e "$file" ] || set -- "$@" "$file"; done
			set -f
		done
	done
}

judge_plugins() { # judge_plugins UNIT: of the pods' network, and its configuration
	judge_tree unguarded "$1" "$cni_bin" 1
	judge_tree swayed "$1" "$cni_conf" 1
}

print_flags() { # print_flags FLAG…: of the arguments on standard input, each as KEY<TAB>VALUE
	arguments=$(cat)
	for flag; do
		printf '%s\n' "$arguments" | last_value "$flag" | sed "s/^/$flag$tab/"
	done
}

for service in containerd.service crio.service cri-docker.service cri-dockerd.service; do
	judge_unit "$service"
	[ -n "$unit_command" ] || continue
	[ -n "$unit_path" ] || judge_local "$service"
	[ -n "$unit_path" ] || unit_path=$runtime_folders
	judge_plugins "$service"
	case $service in
	containerd.service)
		config=$(printf '%s\n' "$unit_command" | last_value '(config|c)' | resolve_paths /)
		judge_path $service /opt/containerd/bin $unit_path
		judge_configuration $service "$unit_path" "${config:-/etc/containerd/config.toml}"
		for folder in /opt/containerd/image-verifier/bin /opt/nri/plugins; do judge_tree unguarded $service $folder 1; done
		for folder in /etc/containerd /etc/nri /etc/cdi /var/run/cdi; do judge_tree swayed $service $folder 3; done
		judge_named swayed $service /etc/crictl.yaml
		;;
	crio.service)
		judge_path $service $unit_path
		set +f
		judge_configuration $service "$unit_path" /etc/crio/crio.conf /etc/crio/crio.conf.d/*
		set -f
		for folder in /etc/crio /etc/containers /usr/share/containers /etc/cdi /var/run/cdi; do judge_tree swayed $service $folder 3; done
		;;
	*)
		judge_settings $service "$unit_path" "$(printf '%s\n' "$unit_command" | print_flags cni-bin-dir cni-conf-dir)"
		;;
	esac
done
[ -z "$docker_command" ] || {
	judge_path docker.service $runtime_folders
	for folder in /etc/docker /usr/lib/docker/plugins /etc/cdi /var/run/cdi; do judge_tree swayed docker.service $folder 3; done
	judge_settings docker.service "$runtime_folders" "$(
		printf '%s\n' "$docker_command" | print_flags init-path userland-proxy-path seccomp-profile data-root exec-root
		printf '%s\n' "$docker_command" | sed -n "s/^\(--add-runtime=\)\{0,1\}[A-Za-z0-9_.-]*=\//path$tab\//p"
		judge_folder "$docker_config"
		[ $controlled = 0 ] || [ ! -f "$docker_config" ] || head -c "$most_text_size" -- "$docker_config" | print_strings ':'
	)"
}
case $nl$kubelet_command$nl in *-network-plugin=cni"$nl"* | *-network-plugin"${nl}cni$nl"*)
	judge_plugins kubelet.service
	judge_settings kubelet.service '' "$(printf '%s\n' "$kubelet_command" | print_flags cni-bin-dir cni-conf-dir)"
	;;
esac
# Units and generators of all programs: what systemd starts at a boot.
judged_trees=$nl
for folder in $systemd_folders; do
	[ -d "$folder" ] && real=$(quiet readlink -f -- "$folder") || continue
	case $judged_trees in *"$nl$real$nl"*) continue ;; esac
	judged_trees=$judged_trees$real$nl
	judge_tree swayed systemd "$folder" 2
done
