#!/usr/bin/env python3
"""Whether as many balancers as `cluster.replicas` says, and no more, can give slots away at one time,
while pods are replaced as well:

    kubectl kustomize . | replicas.py

Reads the rendered manifests from standard input or the file that is named. Exit code 1 and a line for
each mistake; a `cluster.replicas` that is too high is none, since it must be raised first and lowered
last. Needs PyYAML (python3-yaml).
"""

import re
import sys

import yaml

NAME = "icecast-balancer"
# Requests under way are answered for so long after SIGTERM, in seconds.
DRAIN = 10.5
# With an engine what was lent may lie unspent for three of them, twice over, and shares follow one later.
LENT = 7
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def seconds(text):
    """`1m 30s` as balancer.yaml has it."""
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)\s*(ms|[smh])", text))


def mistakes(resources):
    of = {resource["kind"]: resource["spec"] if "spec" in resource else resource["data"]
          for resource in resources if resource["metadata"]["name"] == NAME and {"spec", "data"} & resource.keys()}
    deployment, pod = of["Deployment"], of["Deployment"]["template"]["spec"]
    config = yaml.safe_load(of["ConfigMap"]["balancer.yaml"])
    container = next(one for one in pod["containers"] if one["name"] == NAME)

    cluster, pods = config.get("cluster") or {}, deployment["replicas"]
    counted, lent = cluster.get("replicas", 1), LENT if cluster.get("engine") else 0
    rolling = deployment["strategy"]["rollingUpdate"]
    at_once = pods + rolling["maxSurge"]
    if at_once > counted:
        yield f"up to {at_once} pods run at one time, and cluster.replicas is {counted}: slots are given away twice"

    grace, stop = pod["terminationGracePeriodSeconds"], container["lifecycle"]["preStop"]["sleep"]["seconds"]
    if grace < stop + DRAIN:
        yield f"a pod is killed after {grace} s, and takes {stop + DRAIN} s to end"
    poll, balance = config.get("poll") or {}, config.get("balance") or {}
    seen = seconds(poll.get("stale_after", "15s")) + 2 * seconds(balance.get("settle", "5s")) + lent
    wait, needed = container["readinessProbe"].get("initialDelaySeconds", 0), stop + DRAIN + seen
    if pods > 1 and wait < needed:
        yield f"a pod is ready after {wait} s; the others have seen all that came from its predecessor after {needed} s"

    away = [rolling["maxUnavailable"], of["PodDisruptionBudget"].get("maxUnavailable")]
    if pods > 1 and away != [1, 1]:
        yield f"{away} pods may be away at one time, and each takes its share of the slots with it"


def main():
    source = open(sys.argv[1], encoding="utf-8") if len(sys.argv) > 1 else sys.stdin
    found = list(mistakes([resource for resource in yaml.safe_load_all(source) if resource]))
    for mistake in found:
        print(f"{NAME}: {mistake}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
