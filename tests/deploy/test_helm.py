"""The chart, rendered by Helm itself with several values, and what comes out held against Kubernetes' schemas.

What Helm is given here is what its users give it: files of values. Nothing is installed: there is no cluster.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import CHART, DEPLOY, ROLES, load, run, settings

EXAMPLES = sorted((DEPLOY / "helm" / "examples").glob("*.yaml"))
KUBERNETES = ("1.25.0", "1.37.0")
Object = dict[str, Any]

pytestmark = pytest.mark.timeout(1800)  # Helm is built at first use, once per machine


@cache
def rendered(example: Path, *options: str, version: str = KUBERNETES[-1]) -> tuple[Object, ...]:
    done = run("helm", "template", "shop", CHART, "--kube-version", version, "-f", example, *options)
    assert done.returncode == 0, done.stderr
    return tuple(made for made in yaml.safe_load_all(done.stdout) if made)


def of_kind(objects: tuple[Object, ...], kind: str) -> list[Object]:
    return [made for made in objects if made["kind"] == kind]


def pods(objects: tuple[Object, ...]) -> dict[str, Object]:
    """Pod templates by the name of what makes them."""
    return {
        made["metadata"]["name"]: made["spec"]["template"]
        for kind in ("Deployment", "Job")
        for made in of_kind(objects, kind)
    }


def test_there_are_examples() -> None:
    assert [path.stem for path in EXAMPLES] == ["minimal", "production"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
class TestRendered:
    def test_helm_lints_it(self, example: Path) -> None:
        done = run("helm", "lint", "--strict", CHART, "-f", example)
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize("version", KUBERNETES)
    def test_kubernetes_schemas_take_it(self, example: Path, version: str) -> None:
        validator = pytest.importorskip("kubernetes_validate", reason="NOT CHECKED: kubernetes-validate is missing")
        for made in rendered(example, version=version):
            if made["kind"] != "ServiceMonitor":  # the Prometheus operator's, unknown to Kubernetes itself
                validator.validate(made, version.rsplit(".", 1)[0], strict=True)

    def test_names_are_unique_by_kind(self, example: Path) -> None:
        names = [(made["kind"], made["metadata"]["name"]) for made in rendered(example)]
        assert len(names) == len(set(names))

    def test_selectors_find_pods(self, example: Path) -> None:
        objects = rendered(example)
        labels = [pod["metadata"]["labels"] for pod in pods(objects).values()]

        def finds(selector: dict[str, str]) -> int:
            return sum(selector.items() <= found.items() for found in labels)

        for made in of_kind(objects, "Service"):
            assert finds(made["spec"]["selector"]) == 1, made["metadata"]["name"]
        for kind in ("Deployment", "PodDisruptionBudget"):
            for made in of_kind(objects, kind):
                assert finds(made["spec"]["selector"]["matchLabels"]) == 1, made["metadata"]["name"]
        for made in of_kind(objects, "NetworkPolicy"):
            assert finds(made["spec"]["podSelector"]["matchLabels"]) == 1
        deployments = {made["metadata"]["name"] for made in of_kind(objects, "Deployment")}
        for made in of_kind(objects, "HorizontalPodAutoscaler"):
            assert made["spec"]["scaleTargetRef"]["name"] in deployments

    def test_an_autoscaled_role_names_no_number(self, example: Path) -> None:
        """Else each upgrade sets the number back."""
        objects = rendered(example)
        scaled = {made["metadata"]["name"] for made in of_kind(objects, "HorizontalPodAutoscaler")}
        for made in of_kind(objects, "Deployment"):
            assert ("replicas" in made["spec"]) == (made["metadata"]["name"] not in scaled)

    def test_the_environment_is_of_known_settings(self, example: Path) -> None:
        objects = rendered(example)
        for made in of_kind(objects, "ConfigMap"):
            assert set(made["data"]) <= settings()
        for made in of_kind(objects, "Secret"):
            assert set(made["stringData"]) <= settings()

    def test_what_a_pod_reads_exists(self, example: Path) -> None:
        """Settings of hooks are hooks themselves, with less weight: they come first."""
        objects = rendered(example)
        given = {(made["kind"], made["metadata"]["name"]): made for made in objects}
        existing = load(example).get("secret", {}).get("existing")
        for owner, pod in pods(objects).items():
            for container in pod["spec"]["containers"]:
                for source in container["envFrom"]:
                    config, secret = source.get("configMapRef"), source.get("secretRef")
                    if secret and secret["name"] == existing:
                        continue
                    read = given["ConfigMap" if config else "Secret", (config or secret)["name"]]
                    assert _hook_weight(read) < _hook_weight(given.get(("Job", owner))), owner

    def test_pods_are_closed_in(self, example: Path) -> None:
        for pod in pods(rendered(example)).values():
            spec = pod["spec"]
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["automountServiceAccountToken"] is False
            assert spec["enableServiceLinks"] is False
            for container in spec["containers"]:
                security = container["securityContext"]
                assert security["readOnlyRootFilesystem"] is True
                assert security["allowPrivilegeEscalation"] is False
                assert security["capabilities"] == {"drop": ["ALL"]}
                assert container["resources"]["limits"]["memory"]
                mounts = {mount["name"] for mount in container["volumeMounts"]}
                assert mounts <= {volume["name"] for volume in spec["volumes"]}

    def test_a_node_can_be_drained_while_a_store_is_away(self, example: Path) -> None:
        """Then all pods are unready, and a budget by itself would let none of them go."""
        budgets = of_kind(rendered(example), "PodDisruptionBudget")
        assert len(budgets) == len(ROLES)
        assert {made["spec"]["unhealthyPodEvictionPolicy"] for made in budgets} == {"AlwaysAllow"}
        older = of_kind(rendered(example, version="1.25.0"), "PodDisruptionBudget")
        assert all("unhealthyPodEvictionPolicy" not in made["spec"] for made in older)

    def test_roles_are_probed_where_they_answer(self, example: Path) -> None:
        found = pods(rendered(example))
        for role in ROLES:
            container = found[f"shop-simorgh-{role}"]["spec"]["containers"][0]
            assert container["args"] == [role, "--host", "0.0.0.0", "--port", "8000"]
            assert container["ports"] == [{"name": "http", "containerPort": 8000}]
            assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
            for probe in ("livenessProbe", "startupProbe"):
                assert container[probe]["httpGet"] == {"path": "/healthz", "port": "http"}


def _hook_weight(made: Object | None) -> float:
    """What is no hook comes before what is no hook needs it, and after every hook."""
    hooks = (made or {}).get("metadata", {}).get("annotations", {}) if made else {}
    if "helm.sh/hook" in hooks:
        return float(hooks["helm.sh/hook-weight"])
    return 1000.0 if made else 1001.0


def test_the_chart_is_of_this_version() -> None:
    from simorgh import __version__

    chart = load(CHART / "Chart.yaml")
    assert chart["appVersion"] == __version__


def test_the_image_falls_back_to_the_charts_version() -> None:
    images = {pod["spec"]["containers"][0]["image"] for pod in pods(rendered(EXAMPLES[0])).values()}
    assert images == {f"registry.example.com/simorgh:{load(CHART / 'Chart.yaml')['appVersion']}"}


def test_a_role_can_be_held_back_in_an_upgrade() -> None:
    found = pods(rendered(EXAMPLES[0], "--set", "collect.tag=0.0.9"))
    assert found["shop-simorgh-collect"]["spec"]["containers"][0]["image"].endswith(":0.0.9")
    assert found["shop-simorgh-work"]["spec"]["containers"][0]["image"].endswith(":0.1.0")


def test_other_settings_are_other_pods() -> None:
    def checksum(*options: str) -> str:
        annotations = pods(rendered(EXAMPLES[0], *options))["shop-simorgh-api"]["metadata"]["annotations"]
        return str(annotations["checksum/settings"])

    assert checksum() == checksum("--set", "api.replicas=5")
    assert checksum() != checksum("--set", "settings.SIMORGH_LOG_LEVEL=DEBUG")
    assert checksum() != checksum("--set", "secret.values.SIMORGH_API_TOKEN=other")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--set", "settings.SIMORGH_LOG="), "settings.SIMORGH_LOG"),
        (("--set", "image.repository="), "image.repository"),
        (("--set", "secret.values.SIMORGH_SECRET="), "SIMORGH_SECRET is wanted"),
        (("--set", "secret.values.SIMORGH_CLICKHOUSE="), "SIMORGH_CLICKHOUSE is wanted"),
        (("--set", "ingress.enabled=true"), "ingress.collectHost is wanted"),
        (("--set", "colect.replicas=3"), "colect"),
        (("--set", "settings.LOG_LEVEL=INFO"), "LOG_LEVEL"),
        (("--set", "settings.SIMORGH_PARTITIONS=16"), "SIMORGH_PARTITIONS"),  # a number: YAML would mangle others
        (("--set", "work.replicas=many"), "replicas"),
    ],
)
def test_wrong_values_are_refused_by_name(options: tuple[str, ...], says: str) -> None:
    done = run("helm", "template", "shop", CHART, "--kube-version", KUBERNETES[-1], "-f", EXAMPLES[0], *options)
    assert done.returncode != 0
    assert says in done.stderr
