"""What `inv` and `fabnode` offer. Each task parses, calls and prints; rooms do the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from . import cli
from .cli import commands, exits
from .cli.argtypes import whole
from .cli.options import HELP, Options


def _task(
    name: str | None = None,
    *,
    positional: Sequence[str] | None = None,
    iterable: Sequence[str] | None = None,
    default: bool = False,
    **options: str,
) -> Callable[[Callable[..., None]], Task[Callable[..., None]]]:
    """
    Make a function a task, without short flags; its errors end in a sentence and an exit code.

    :param options: what those of its options mean that don't mean the same everywhere (`HELP`).
    """

    def made(body: Callable[..., None]) -> Task[Callable[..., None]]:
        shared = (parameter.replace("_", "-") for parameter in signature(body).parameters)
        return Task(
            exits.errors_as_exits()(body),
            name=name,
            positional=positional,
            iterable=iterable,
            default=default,
            auto_shortflags=False,
            help={**{option: HELP[option] for option in shared if option in HELP}, **options},
        )

    return made


@_task(dry_run="Show what would change, like `inv plan`; change nothing.")
def deploy_nodes(
    _: Context,
    config: str = "",
    limit: str = "",
    max_parallel: int = whole("--max-parallel"),
    batch: int = whole("--batch"),
    bundle: str = "",
    bundle_sha256: str | None = None,
    deep: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """
    Turn the configured hosts into Ready nodes.

    Then it proves that they work, as `inv verify` does. What is right already is left alone.

    Example: inv deploy-nodes --limit ssd,node-7 --batch 5
    """
    options = Options(
        config,
        limit,
        json,
        max_parallel,
        batch,
        deep,
        bundle=bundle,
        bundle_sha256=bundle_sha256,
    )
    if dry_run:
        commands.inspection.show_plan(options, exit_code=False)
        return
    commands.deployment.deploy(replace(options, joins=True, recorded=True))


@_task(exit_code="Exit 3 when something would change.")
def plan(
    _: Context,
    config: str = "",
    limit: str = "",
    max_parallel: int = whole("--max-parallel"),
    bundle: str = "",
    bundle_sha256: str | None = None,
    deep: bool = False,
    json: bool = False,
    exit_code: bool = False,
) -> None:
    """
    Show what deploy-nodes would change, and why.

    Per node: files with their diffs, digests for secrets, units that would restart.

    Example: inv plan --exit-code --json
    """
    options = Options(
        config,
        limit,
        json,
        max_parallel,
        deep=deep,
        bundle=bundle,
        bundle_sha256=bundle_sha256,
    )
    commands.inspection.show_plan(options, exit_code=exit_code)


@_task(no_network="Skip the pods that try the network.")
def verify(
    _: Context, config: str = "", limit: str = "", json: bool = False, no_network: bool = False
) -> None:
    """
    Check the nodes, and let pods try the network.

    Units, health, Ready, versions, certificates, Calico; pods on every node reach each other and a
    Service.

    Example: inv verify --json
    """
    options = Options(config, limit, json, recorded=True, installs=False)
    commands.inspection.verify(options, network=not no_network)


@_task(
    watch="Go on with requests to come (serving certificates that rotate), until interrupted.",
    serving_only="Only requests for serving certificates: no host has to be asked, so no SSH.",
    kubeconfig="With --serving-only: this one in place of cluster.kubeconfig.",
    dry_run="Show what would be approved; approve nothing.",
    print_unit="Print a systemd unit that runs it with --watch --serving-only; do nothing else.",
)
def approve_csr(
    _: Context,
    config: str = "",
    limit: str = "",
    watch: bool = False,
    serving_only: bool = False,
    kubeconfig: str = "",
    dry_run: bool = False,
    print_unit: bool = False,
    json: bool = False,
) -> None:
    """
    Judge signing requests; approve what is proved.

    Anything else stays pending and is reported with the reason.

    Example: inv approve-csr --dry-run
    """
    if print_unit:
        account = Path(kubeconfig or "approver.kubeconfig")
        cli.app.print_text(
            commands.requests.approver_unit(cli.app.configuration(config), account), end=""
        )
        return
    options = Options(
        config,
        limit,
        json,
        recorded=True,
        installs=False,
        kubeconfig=kubeconfig,
        endless=watch,
    )
    commands.requests.approve(options, watch=watch, serving_only=serving_only, dry_run=dry_run)


@_task(
    "deny",
    positional=["names"],
    names="Names, with commas between.",
)
def csr_deny(_: Context, names: str, config: str = "") -> None:
    """
    Deny signing requests of no configured node.

    Those of a configured node that would be approved are left; exit 1 then.

    Example: inv csr.deny csr-x7k2p,csr-9qw3z
    """
    wanted = [name for name in names.split(",") if name]
    if not wanted:
        raise Exit("--names is missing: the requests' names, with commas between", exits.BAD_INPUT)
    commands.requests.deny(Options(config, recorded=True, installs=False), wanted)


@_task(
    "all",
    default=True,
    json="Print JSON for programs.",
)
def versions_all(_: Context, json: bool = False) -> None:
    """
    Show what holds of each Kubernetes release.

    Flags or file, runtimes, CSR API, kube-proxy's modes, and the Calico that its makers tested.

    Example: inv versions
    """
    rows = commands.versions.overview()
    if json:
        cli.app.print_json({"releases": rows})
    else:
        cli.app.print_table(commands.versions.HEADS, commands.versions.lines(rows))


@_task(
    "of",
    positional=["kubernetes"],
    kubernetes="Release, such as 1.20 or 1.20.2.",
    runtime="Is it possible with containerd, or with docker?",
    containerd="Is it possible with this release of containerd?",
    calico="Is it possible with this release of Calico?",
    datastore="Calico's: kubernetes or etcd.",
    proxy_mode="Is it possible with this mode of kube-proxy?",
    details="Every datum of it with its source: flags, fields, APIs.",
    json="Print JSON for programs.",
)
def versions_of(
    _: Context,
    kubernetes: str,
    runtime: str = "",
    containerd: str = "",
    calico: str = "",
    datastore: str = "kubernetes",
    proxy_mode: str = "",
    details: bool = False,
    json: bool = False,
) -> None:
    """
    Show what goes with a release, or whether these do.

    With --details every datum with its source. A pair that can't be is refused with the nearest
    that can; exit 2.

    Example: inv versions.of 1.20 --calico 3.18.6 --proxy-mode ipvs
    """
    combination = commands.versions.Combination(runtime, containerd, calico, datastore, proxy_mode)
    release = commands.versions.parse(kubernetes)
    commands.versions.check(release, combination)
    data = [cli.app.plain(datum) for datum in commands.versions.details(release.minor)]
    fitting = commands.versions.fitting(release.minor)
    if json:
        cli.app.print_json({"release": release.series, "fitting": fitting, "data": data})
    elif combination:
        cli.app.print_text(f"Kubernetes {release.series} with {combination}: possible")
    elif not details:
        cli.app.print_table(("WITH", release.series), list(fitting.items()))
    else:
        lines = [tuple(one.values()) for one in data]
        cli.app.print_table(commands.versions.DETAIL_HEADS, lines)


@_task("check")
def config_check(_: Context, config: str = "", json: bool = False) -> None:
    """
    Check the configuration.

    Every error names file, line and key; steps of your own are asked what they want of each node.
    Artifacts that are not on this machine yet are listed; they don't make it invalid.

    Example: inv config.check --config site/cluster.yml
    """
    commands.configuration.check(config, as_json=json)


@_task(
    "init",
    kubeconfig="Of the cluster (default: $KUBECONFIG, else ~/.kube/config).",
    context="The context that must be the current one of it.",
    hosts="Hosts, with commas between: NAME ADDRESS, or only one of them.",
    hosts_file="A file of hosts, one a line, or .csv, .json, .yml; - for standard input, by line.",
    user="By whom SSH logs in to them (default: root).",
    key="The private key that it logs in with (default: the agent's, and those that ssh takes).",
    known_hosts="The file of their host keys, there or to come (default: those that ssh takes).",
    no_ssh="Log in to no host, also where its key is known.",
    artifacts="Folder with bin, cni, images, calico.yaml (default: artifacts beside the file).",
    out="The file to write (default: $FABNODE_CONFIG, else config/cluster.yml).",
    dry_run="Print the file; write nothing.",
)
def config_init(
    _: Context,
    kubeconfig: str = "",
    context: str = "",
    hosts: str = "",
    hosts_file: str = "",
    user: str = "",
    key: str = "",
    known_hosts: str = "",
    no_ssh: bool = False,
    artifacts: str = "",
    out: str = "",
    dry_run: bool = False,
) -> None:
    """
    Write a first configuration for a cluster.

    The cluster is asked for its version, networks, DNS and nodes, a folder of artifacts for the
    releases that lie there, and hosts whose keys ssh knows for their names, addresses and
    architectures. What they do not tell is asked at a terminal, or is a comment that says why.
    No file is ever replaced.

    Example: inv config.init --hosts "node-1 192.168.1.42,node-2 192.168.1.43"
    """
    commands.first_configuration.init(
        kubeconfig=kubeconfig,
        context=context,
        hosts=hosts,
        hosts_file=hosts_file,
        login=commands.first_configuration.Login(user, key, known_hosts),
        no_ssh=no_ssh,
        artifacts=artifacts,
        out=out,
        dry_run=dry_run,
    )


@_task(
    "import",
    positional=["source"],
    source="A file or folder of another tool's; - for standard input.",
    tool="kubeasz, kubespray, ansible, k0sctl or kubeadm (default: what the content shows).",
    group="The workers' groups in an inventory that is not kubespray's, with commas between.",
    kubeconfig="Of the cluster: its CA and path are taken.",
    hosts="Further hosts, with commas between: NAME ADDRESS, or only one of them.",
    hosts_file="A file of further hosts, one a line; - for standard input.",
    artifacts="Folder with bin, cni, images, calico.yaml (default: artifacts beside the file).",
    out="The file to write (default: $FABNODE_CONFIG, else config/cluster.yml).",
    dry_run="Print the file and the report; write nothing.",
)
def config_import(
    _: Context,
    source: str,
    tool: str = "",
    group: str = "",
    kubeconfig: str = "",
    hosts: str = "",
    hosts_file: str = "",
    artifacts: str = "",
    out: str = "",
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """
    Write a first configuration of another tool's.

    Reads kubeasz's clusters/NAME, kubespray's and other inventories of Ansible, k0sctl.yaml and
    kubeadm's configuration; reports what was taken, what has no counterpart, and what needs a
    decision. Evaluates no expressions, reads no secrets, replaces no file.

    Example: inv config.import inventory/mycluster --kubeconfig admin.conf
    """
    commands.configuration_import.run(
        source,
        tool=tool,
        groups=group,
        kubeconfig=kubeconfig,
        hosts=hosts,
        hosts_file=hosts_file,
        artifacts=artifacts,
        out=out,
        dry_run=dry_run,
        as_json=json,
    )


@_task("example")
def config_example(_: Context) -> None:
    """
    Print an example that has every key.

    Example: inv config.example > config/cluster.yml
    """
    commands.configuration.print_example()


@_task("explain", positional=["key"], key="Such as kubelet.max_pods; a dot for the top level.")
def config_explain(_: Context, key: str, json: bool = False) -> None:
    """
    Say what a key of the configuration means.

    Type, default, what it does, which values are allowed, and an example.

    Example: inv explain kubelet.max_pods
    """
    commands.configuration.print_explanation(key, as_json=json)


@_task("show", node="The node, by its name.")
def config_show(_: Context, node: str = "", config: str = "", json: bool = False) -> None:
    """
    Show what holds for a node, and from which line.

    After defaults, groups and its own entry; no secrets. Neither hosts nor the API are asked.

    Example: inv config.show --node node-1
    """
    commands.configuration.show_node(config, node, as_json=json)


@_task("schema")
def config_schema(_: Context) -> None:
    """
    Print the configuration's JSON Schema, for editors.

    Example: inv config.schema > config/cluster.schema.json
    """
    commands.configuration.print_schema()


@_task(margin="Days that must be left; exit 3 below that (default: verify.certificate_days).")
def certs(
    _: Context,
    config: str = "",
    limit: str = "",
    json: bool = False,
    margin: str = "",
) -> None:
    """
    Show every certificate and the days it has left.

    Of the apiserver and of every node: subject, issuer, chain, key, file mode. Exit 1 where one is
    wrong, 3 where one is nearer to its end than --margin.

    Example: inv certs --margin 60 --json
    """
    days = whole("--margin", margin) if margin else None
    options = Options(config, limit, json, recorded=True, installs=False)
    commands.certs.show(options, days)


@_task(
    dry_run="Show what would change; change nothing.",
    only="Kinds, with commas between: client, serving, proxy (default: all three).",
    due="Only what has fewer days left than verify.certificate_days.",
    issued_before="Only what was issued before this time: 2026-11-25T14:00, or `now` for all "
    "(default: an hour ago, so that an interrupted run continues when run again).",
    ca="Take the nodes to the CA in cluster.ca, stage by stage; see docs/certificates.md.",
)
def rotate_certs(
    _: Context,
    config: str = "",
    limit: str = "",
    max_parallel: int = whole("--max-parallel"),
    batch: int = whole("--batch"),
    only: str = "",
    due: bool = False,
    issued_before: str = "",
    ca: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """
    Renew nodes' certificates; no pod is restarted.

    Kubelet client, kubelet serving and kube-proxy certificates: one node first, then the others,
    in batches. With --ca for a changed CA: both CAs to every node, then certificates of the new
    one, then the old one out; run it again after each manual step that it requests. Exit 3 while
    it waits for you.

    Example: inv rotate-certs --limit ssd --batch 5 --dry-run
    """
    # A node that gets a new client certificate joins once more.
    options = Options(
        config, limit, json, max_parallel, batch, joins=not dry_run, recorded=not dry_run
    )
    if ca:
        if only or due or issued_before:
            raise Exit("--ca decides by itself what is renewed", exits.BAD_INPUT)
        commands.rotate_certs.change_ca(options, dry_run=dry_run)
    else:
        selection = commands.rotate_certs.Selection(only, issued_before, due=due)
        commands.rotate_certs.rotate(options, selection, dry_run=dry_run)


@_task()
def audit(
    _: Context,
    config: str = "",
    limit: str = "",
    max_parallel: int = whole("--max-parallel"),
    json: bool = False,
) -> None:
    """
    List faults of nodes, whoever made them.

    Stray keys, open kubelets, static tokens, … with severity and fix. Changes nothing; exit 3 when
    something is found, 1 where a host can't be examined.

    Example: inv audit --limit 'old-*' --json
    """
    commands.audit.audit(Options(config, limit, json, max_parallel, installs=False))


@_task(
    dry_run="Show what would change; change nothing.",
    yes="Do it without asking.",
)
def harden(
    _: Context,
    config: str = "",
    limit: str = "",
    max_parallel: int = whole("--max-parallel"),
    batch: int = whole("--batch"),
    dry_run: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """
    Fix what audit finds, without restarting a pod.

    Shows the plan and asks; without a terminal it wants --yes, else it exits 3. Keys are moved to a
    quarantine on the host, never deleted; what is not understood is left to be done by hand.

    Example: inv harden --limit old-1 --dry-run
    """
    recorded = not dry_run
    options = Options(config, limit, json, max_parallel, batch, recorded=recorded, installs=False)
    commands.audit.harden(options, dry_run=dry_run, yes=yes)


@_task(
    dry_run="Show what would become of each pod, and what frees those that would not go.",
    batch="Nodes worked on at once (default: maintenance.batch).",
)
def drain(
    _: Context,
    config: str = "",
    limit: str = "",
    batch: int = whole("--batch"),
    force: str = "",
    past_budget: str = "",
    delete_emptydir_data: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """
    Have nodes' pods leave; say which won't, why.

    Each pod is checked before the cordon: one that would not go leaves its node as it is. The
    others are evicted within their budgets until none is left. The node stays cordoned; the same
    command goes on with an interrupted drain.

    Example: inv drain --limit node-7 --dry-run
    """
    options = Options(
        config,
        limit,
        json,
        batch=batch,
        recorded=not dry_run,
        installs=False,
        in_use=True,
        api_only=True,
    )
    allowed = commands.upkeep.Allowed(force, past_budget, delete_emptydir_data)
    commands.upkeep.drain(options, allowed, dry_run=dry_run)


@_task(
    dry_run="Show what would be done with each node, and what would become of each pod.",
    command="Run this on each host as root, in place of a reboot; a shell reads it. Run again where"
    " the run was interrupted.",
    if_due="Only where the host says that a reboot is due.",
    kernel="Kernel release that has to run after the reboot (default: the host's default kernel).",
    no_network="Skip the pods that try the network before others come.",
    batch="Nodes worked on at once (default: maintenance.batch).",
)
def maintain(
    _: Context,
    config: str = "",
    limit: str = "",
    batch: int = whole("--batch"),
    command: str = "",
    if_due: bool = False,
    kernel: str = "",
    no_network: bool = False,
    force: str = "",
    past_budget: str = "",
    delete_emptydir_data: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """
    Drain nodes, reboot them, prove them healthy.

    One after another, or in batches: the next begin when these take pods again. The new boot, its
    kernel, the node and its network are proved before the cordon is lifted; a node that fails stays
    cordoned, and the run ends there. The same command goes on where it was interrupted.

    Example: inv maintain --limit ssd --if-due
    """
    options = Options(
        config, limit, json, batch=batch, recorded=not dry_run, installs=False, in_use=True
    )
    allowed = commands.upkeep.Allowed(force, past_budget, delete_emptydir_data)
    commands.upkeep.maintain(
        options,
        allowed,
        command=command,
        if_due=if_due,
        kernel=kernel,
        network=not no_network,
        dry_run=dry_run,
    )


@_task(
    dry_run="Show what would change on each node, what that does to its pods, and which would go.",
    no_network="Skip the pods that try the network before others come.",
    batch="Nodes worked on at once (default: maintenance.batch).",
)
def upgrade(
    _: Context,
    config: str = "",
    limit: str = "",
    batch: int = whole("--batch"),
    no_network: bool = False,
    force: str = "",
    past_budget: str = "",
    delete_emptydir_data: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """
    Bring nodes in use to what is configured.

    One after another, or in batches: drained where a kubelet's minor or the runtime changes,
    changed, proved healthy, taking pods again. A node that is unhealthy with what is new returns to
    what it ran, and the run ends there. The same command goes on where it was interrupted.

    Example: inv upgrade --limit node-1 --dry-run
    """
    options = Options(
        config, limit, json, batch=batch, joins=True, recorded=not dry_run, in_use=True
    )
    allowed = commands.upkeep.Allowed(force, past_budget, delete_emptydir_data)
    commands.upgrade.upgrade(options, allowed, network=not no_network, dry_run=dry_run)


@_task(dry_run="Show what would become of each cordon; change nothing.")
def cordon(
    _: Context, config: str = "", limit: str = "", dry_run: bool = False, json: bool = False
) -> None:
    """
    Let no new pods come to nodes.

    The Node object tells by whom and since when. One that somebody else has cordoned stays theirs.

    Example: inv cordon --limit node-7
    """
    options = Options(
        config, limit, json, recorded=not dry_run, installs=False, in_use=True, api_only=True
    )
    commands.upkeep.cordon(options, dry_run=dry_run)


@_task(dry_run="Show what would become of each cordon; change nothing.")
def uncordon(
    _: Context, config: str = "", limit: str = "", dry_run: bool = False, json: bool = False
) -> None:
    """
    Lift cordons that are fabnode's own.

    A cordon of somebody else is never lifted; exit 1 then.

    Example: inv uncordon --limit node-7
    """
    options = Options(
        config, limit, json, recorded=not dry_run, installs=False, in_use=True, api_only=True
    )
    commands.upkeep.uncordon(options, dry_run=dry_run)


@_task()
def status(_: Context, config: str = "", limit: str = "", json: bool = False) -> None:
    """
    Show what is in flight, by whom, since when.

    Owners of the nodes' cordons, interrupted drains, and the run that changes the cluster
    now, if any. Hosts of nodes that are not Ready are asked for an unfinished reset, where that
    takes no password. `verify` shows whether nodes are healthy, `fab -H HOST status` for one host.

    Example: inv status
    """
    commands.upkeep.status(Options(config, limit, json, installs=False, in_use=True, api_only=True))


@_task(
    fix="Apply the safe fixes (restart, enable, deploy, approve what is proved); diagnose again.",
    dry_run="With --fix: show what would be done; change nothing.",
)
def doctor(
    _: Context,
    config: str = "",
    limit: str = "",
    max_parallel: int = whole("--max-parallel"),
    fix: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """
    Say why nodes don't work, and what fixes them.

    One probe of each host, and of the API: causes with their evidence, what explains the others
    first, one fix each. Exit 3 where something is wrong; with --fix 1 where something still is.

    Example: inv doctor --limit node-7 --fix
    """
    fixes = fix and not dry_run
    options = Options(
        config, limit, json, max_parallel, joins=fixes, recorded=fixes, installs=fixes
    )
    commands.doctor.doctor(options, fix=fix, dry_run=dry_run)


@_task(
    dry_run="Show what would go from cluster and hosts, and which pods; change nothing.",
    offline="Of hosts that do not answer: what the cluster has of them, as far as that goes.",
    host_is_off="With --offline: these hosts are off, so that their pods may be declared dead.",
    yes="Do it without asking.",
    batch="Nodes worked on at once (default: maintenance.batch).",
)
def remove_node(
    _: Context,
    limit: str = "",
    config: str = "",
    batch: int = whole("--batch"),
    force: str = "",
    past_budget: str = "",
    delete_emptydir_data: bool = False,
    offline: bool = False,
    host_is_off: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """
    Take nodes out of the cluster; reset their hosts.

    Each is drained, its kubelet stopped and its pods ended through the runtime; then its Node
    object and signing requests go, and its host is as `inv reset` leaves it, without its keys.
    Shows the plan and asks; without a terminal it wants --yes, else it exits 3. One whose host does
    not answer is locked out; it is removed where no pod of it may run, or by --host-is-off.

    Example: inv remove-node --limit node-7 --dry-run
    """
    options = Options(
        config, limit, json, batch=batch, recorded=not dry_run, installs=False, in_use=True
    )
    allowed = commands.upkeep.Allowed(force, past_budget, delete_emptydir_data)
    commands.removal.remove_node(
        options, allowed, offline=offline, host_is_off=host_is_off, dry_run=dry_run, yes=yes
    )


@_task(
    dry_run="Show what would be removed, put back and left; change nothing.",
    yes="Do it without asking.",
    pods="Pods that may be ended, besides DaemonSets': NAMESPACE/NAME or globs, comma-separated.",
)
def reset(
    _: Context,
    limit: str = "",
    config: str = "",
    max_parallel: int = whole("--max-parallel"),
    pods: str = "",
    dry_run: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """
    Restore hosts to how they were before.

    Units, pods, mounts, files, interfaces and rules of a node go, each by its exact name; kernel
    settings and replaced files are put back; all else stays as it is. Drain the node first.
    Shows the plan and asks; without a terminal it wants --yes, else it exits 3.

    Example: inv reset --limit n1 --dry-run
    """
    options = Options(config, limit, json, max_parallel, recorded=not dry_run, installs=False)
    commands.reset.reset(options, pods, dry_run=dry_run, yes=yes)


@_task(
    "fetch",
    arch="amd64, arm64 or both, with a comma between (default: artifacts.architectures).",
    dry_run="Show what would be fetched, from where, to where; fetch checksums only.",
)
def binaries_fetch(_: Context, config: str = "", arch: str = "", dry_run: bool = False) -> None:
    """
    Fetch what nodes are made of, verified.

    kubelet, kube-proxy, kubectl, containerd, runc, CNI plugins and crictl, from the projects' own
    places or from artifacts.mirrors. An interrupted download goes on where it stopped. Neither the
    cluster's CA nor a kubeconfig has to be there yet.

    Example: inv binaries.fetch --arch amd64,arm64
    """
    wanted = [each.strip() for each in arch.split(",") if each.strip()]
    loaded = cli.app.configuration(config, access=False)
    commands.binaries.fetch(loaded, wanted, dry_run=dry_run)


@_task(
    "publish",
    out="The folder to fill.",
    dry_run="Show what would be written; write nothing.",
)
def binaries_publish(_: Context, out: str = "", config: str = "", dry_run: bool = False) -> None:
    """
    Fill a folder from which hosts fetch artifacts.

    Every file lies there under its sha256: let any web server serve it at artifacts.url, and set
    artifacts.distribution: pull.

    Example: inv binaries.publish --out /srv/fabnode
    """
    if not out:
        raise Exit("--out DIR is missing", exits.BAD_INPUT)
    loaded = cli.app.configuration(config, artifacts=True)
    commands.binaries.publish(loaded, Path(out), dry_run=dry_run)


@_task(out="The file to write (default: fabnode-KUBERNETES.tar.zst).")
def bundle(_: Context, config: str = "", out: str = "") -> None:
    """
    Put all that nodes get into one file.

    Binaries, CNI plugins, image archives and Calico's manifest, each with its sha256: for a site
    without internet, where `inv deploy-nodes --bundle FILE` uses nothing else. It prints the
    digest to give there as --bundle-sha256.

    Example: inv bundle --out site.tar.zst
    """
    loaded = cli.app.configuration(config, artifacts=True)
    commands.bundle.make(loaded, Path(out) if out else None)


@_task(
    "deployer",
    out="Where its kubeconfig is written, 0600 (default: deployer.kubeconfig).",
    hours="How long its credentials live.",
    with_drain="With the rights of drain, maintain and upgrade too: to read and evict all pods.",
    show="Print the objects as YAML; change nothing.",
)
def rbac_deployer(
    _: Context,
    config: str = "",
    out: str = "deployer.kubeconfig",
    hours: int = whole("--hours", 8),
    with_drain: bool = False,
    show: bool = False,
) -> None:
    """
    Make an account with only the rights fabnode needs.

    Its short-lived kubeconfig is written to --out. What else its holder can do is printed: keep it
    as you keep the administrator's.

    Example: inv rbac.deployer --hours 2 --out config/deployer.kubeconfig
    """
    loaded = cli.app.configuration(config)
    commands.accounts.make_deployer(loaded, Path(out), hours=hours, show=show, drains=with_drain)


@_task(
    "approver",
    out="Where its kubeconfig is written, 0600 (default: approver.kubeconfig).",
    hours="How long its credentials live.",
    show="Print the objects as YAML; change nothing.",
)
def rbac_approver(
    _: Context,
    config: str = "",
    out: str = "approver.kubeconfig",
    hours: int = whole("--hours", 720),
    show: bool = False,
) -> None:
    """
    Make a small account for the approver service.

    It can approve serving certificates and nothing else; `inv approve-csr --serving-only` and the
    unit of `--print-unit` use it.

    Example: inv rbac.approver --hours 8760 --out config/approver.kubeconfig
    """
    loaded = cli.app.configuration(config)
    commands.accounts.make_approver(loaded, Path(out), hours=hours, show=show)


@_task(
    "forget",
    positional=["names"],
    names="Names of nodes, or of their kube-proxies, with commas between.",
)
def rbac_forget(_: Context, names: str, config: str = "") -> None:
    """
    Revoke rights of kube-proxies that are gone.

    `inv status` lists them. Those of a node that the configuration or the cluster knows are left;
    exit 1 then.

    Example: inv rbac.forget n7,n8
    """
    wanted = [name for name in names.split(",") if name]
    if not wanted:
        raise Exit("--names is missing: names of nodes, with commas between", exits.BAD_INPUT)
    commands.accounts.forget(Options(config, recorded=True, installs=False), wanted)


@_task(
    "trust",
    iterable=["fingerprint"],
    fingerprint="Expected fingerprint: NODE=SHA256:…, once per host; with one node selected"
    " SHA256:… alone. Without: asks.",
)
def hosts_trust(_: Context, fingerprint: list[str], config: str = "", limit: str = "") -> None:
    """
    Show host keys; record them once confirmed.

    Example: inv hosts.trust --limit node-1 --fingerprint SHA256:…
    """
    commands.hosts.trust(Options(config, limit), fingerprint)


@_task(
    run="Folder of a run (default: the newest of the configured cluster).",
    out="Where to write the file.",
)
def report(_: Context, config: str = "", run: str = "", out: str = "") -> None:
    """
    Write a run's report: one HTML file.

    It shows a timeline per host and step, what changed, and what failed. Runs are stored in
    $XDG_STATE_HOME/fabnode/runs (~/.local/state/fabnode/runs), the newest 50 of all clusters.

    Example: inv report --out report.html
    """
    cluster = {} if run else cli.app.cluster_of_runs(config)
    target = Path(out) if out else None
    written = cli.report.write(Path(run) if run else None, target, cluster=cluster)
    cli.app.print_text(str(written))


ns = Collection(
    deploy_nodes,
    approve_csr,
    audit,
    bundle,
    certs,
    rotate_certs,
    harden,
    reset,
    verify,
    doctor,
    plan,
    report,
    cordon,
    drain,
    maintain,
    upgrade,
    remove_node,
    uncordon,
    status,
)
ns.add_collection(Collection("binaries", binaries_fetch, binaries_publish))
ns.add_task(config_explain, name="explain")
ns.add_collection(
    Collection(
        "config",
        config_check,
        config_example,
        config_explain,
        config_import,
        config_init,
        config_schema,
        config_show,
    )
)
ns.add_collection(Collection("hosts", hosts_trust))
ns.add_collection(Collection("rbac", rbac_approver, rbac_deployer, rbac_forget))
ns.add_collection(Collection("csr", csr_deny))
ns.add_collection(Collection("versions", versions_all, versions_of))
ns.configure({"run": {"in_stream": False}})
