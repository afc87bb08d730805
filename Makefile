# What one types first. `inv --list` shows everything else.
PYTHON ?= python3
export PYTHON
# Where it is set, each of some thousand commands of the tests compiles all of fabnode: half a second.
unexport PYTHONDONTWRITEBYTECODE
# Two processes, each with a lab of its own: much of a test's time is waiting for hosts. A module's
# tests stay together and in order.
PYTEST = .venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder
# Those of which `make test-pythons` takes what is installed.
PYTHONS ?= 3.11 3.12 3.13 3.14
# Where shell scripts are: by extension or by first line.
SCRIPTS = .ci bench fabnode findings lab tests

.PHONY: demo demo-down check test test-releases test-hosts test-sites test-life test-trouble test-chaos vm-test conformance coverage
.PHONY: test-pythons attacks bench bench-breakdown bench-commits bench-nodes bench-scale bench-start bench-thousand bench-uplink bench-upgrade findings
.PHONY: bootstrap-demo bootstrap-test bootstrap-vm-test

demo: bootstrap-demo .venv/runtime  ## a real cluster on this machine, its three hosts made nodes
	.venv/bin/inv lab.up
	FABNODE_CONFIG=.lab/cluster.yml .venv/bin/inv deploy-nodes
	FABNODE_CONFIG=.lab/cluster.yml .venv/bin/inv verify
	@echo
	@echo "It all keeps running. Look around:"
	@echo "  .lab/bin/kubectl --kubeconfig .lab/admin.kubeconfig get nodes,pods -A -o wide"
	@echo "  export FABNODE_CONFIG=.lab/cluster.yml; .venv/bin/inv plan; .venv/bin/fab -H n1 status"
	@echo "  .venv/bin/inv lab.ssh n1; .venv/bin/inv lab.status; .venv/bin/inv --list"
	@echo "and take it away again: make demo-down"

demo-down:  ## takes the demo away: processes, mounts, bridge, folder
	@if [ -x .venv/bin/inv ]; then .venv/bin/inv lab.down; else echo "there is no demo"; fi

test: bootstrap-test .venv/dev check  ## all checks and tests, those on a lab included
	.venv/bin/inv lab.fetch
	$(PYTEST) -m 'not releases and not hosts and not sites and not life and not trouble and not chaos and not vm'

test-releases: bootstrap-test .venv/dev  ## more releases of Kubernetes, the chapter's shape with docker, on a lab
	.venv/bin/inv lab.fetch --older-nodes
	.venv/bin/pytest -m releases

test-hosts: bootstrap-test .venv/dev  ## Debian 13, sudo-rs, rust-coreutils, tcsh, on a lab
	.venv/bin/pytest -m hosts

test-sites: bootstrap-test .venv/dev  ## changed CAs, moved clusters, takeovers, Calico's forms, on a lab
	.venv/bin/inv lab.fetch
	$(PYTEST) -m sites

test-life: bootstrap-test .venv/dev  ## nodes in use: drained, maintained, mended, reset, on a lab
	.venv/bin/inv lab.fetch --older-runtimes
	.venv/bin/pytest -m life

test-trouble: bootstrap-test .venv/dev  ## hosts, connections and the API that fail, hang or lie meanwhile, on a lab
	.venv/bin/inv lab.fetch
	$(PYTEST) -m trouble

test-chaos: bootstrap-test .venv/dev  ## deployments ended at random moments and by Ctrl-C, on a lab
	.venv/bin/inv lab.fetch
	.venv/bin/pytest -m chaos

vm-test: bootstrap-vm-test .venv/dev  ## virtual machines: cgroup v2, ipvs, IPIP, AppArmor, reboots, power cuts
	.venv/bin/pytest -m vm

# The form cgroup-v2 has virtual machines.
conformance: $(if $(findstring cgroup-v2,$(FORM)),bootstrap-vm-test,bootstrap-test) .venv/dev  ## Kubernetes' own tests on nodes of a lab: ONLY=netpol FORM=iptables-vxlan
	.venv/bin/python -m lab.conformance --only "$(ONLY)" --form "$(FORM)"

check: .venv/dev  ## style and types only
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/shfmt -d $(SCRIPTS)
	.venv/bin/shellcheck $$(.venv/bin/shfmt -f $(SCRIPTS))

coverage: .venv/dev  ## lines that no test without the lab runs
	$(PYTEST) -q -m 'not lab' --cov --cov-report=term-missing

test-pythons:  ## tests that need no lab, with each Python of PYTHONS that is installed
	@set -e; ran=; for version in $(PYTHONS); do \
		python=python$$version; venv=.venvs/$$version; \
		$$python -c '' 2>/dev/null || { echo "== $$python is not installed"; continue; }; \
		echo "== $$python"; ran="$$ran $$version"; \
		$$python -m venv $$venv; \
		$$venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt; \
		$$venv/bin/pytest -q -m 'not lab'; \
	done; echo "passed with:$$ran"

attacks: bootstrap-test .venv/dev  ## what a hostile node, host or requester may try, and how it ended
	.venv/bin/inv lab.fetch
	$(PYTEST) -m attack

bench: bootstrap-demo .venv/runtime  ## fabnode and a bare script, alternately on fresh hosts
	.venv/bin/python -m bench.compare

bench-breakdown: bootstrap-demo .venv/runtime  ## what takes the processors meanwhile; needs perf
	.venv/bin/python -m bench.breakdown

bench-commits: bootstrap-demo .venv/runtime  ## this checkout and commit BEFORE=…, alternately
	.venv/bin/python -m bench.commits $(BEFORE)

bench-scale: bootstrap-demo .venv/runtime  ## `inv plan` over a hundred bare hosts
	.venv/bin/python -m bench.scale

bench-nodes: bootstrap-demo .venv/runtime  ## a deployment of three beside 5,000 other Nodes
	.venv/bin/python -m bench.nodes $(OTHERS)

bench-thousand: .venv/dev  ## a hundred to a thousand simulated hosts, here or beside commit BEFORE=…
	.venv/bin/python -m bench.thousand $(if $(BEFORE),--before $(BEFORE)) $(HOSTS)

bench-uplink: bootstrap-demo .venv/runtime  ## six hosts behind 100 Mbit/s: parts relayed, and sent to each
	.venv/bin/python -m bench.uplink

bench-upgrade: bootstrap-demo .venv/runtime  ## upgrades beside deployments, and their plans
	.venv/bin/python -m bench.upgrade

bench-start: bootstrap-demo .venv/runtime  ## processor time of commands, here and at commit BEFORE=…
	.venv/bin/python -m bench.start $(BEFORE)

findings:  ## what others' software does unlike what one would guess, shown again
	@set -e; for script in findings/*.sh; do echo "== $$script"; sh "$$script"; done

bootstrap-demo bootstrap-test bootstrap-vm-test: bootstrap-%:
	@lab/bootstrap.sh $*

# Stamps: installed again only when the requirements change.
.venv/runtime: requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/dev: requirements-dev.txt .venv/runtime
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
