"""What deploy/ ships is understood by those for whom it is, and its parts agree with each other."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import compose_spec
import kubernetes_validate
import pytest
import sqlalchemy as sa
import yaml

from taskqueue import settings
from taskqueue.cli.program import COMMANDS, program
from taskqueue.errors import EXIT_CONFIGURATION
from tests.support.servers import Unreachable, new_database, skip_or_fail

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd/taskqueue.service"
OLDER = DEPLOY / "systemd/older-systemd.conf"
DOCKERFILE = (DEPLOY / "docker/Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes/taskqueue.yaml").read_text()))
README = (DEPLOY / "README.md").read_text()
CONFIGS = ["systemd/taskqueue.toml", "docker/taskqueue.toml"]
PING = ["supervisor", "ping"]
#: more than the grace of a stop, for the supervisor's own end
MARGIN = 10
#: what systemd knows since which version; older ones ignore it, and the drop-in stands in for it
NEWER = {"Failed to parse service type, ignoring: notify-reload": 253}
NEWER |= {f"Unknown key '{key}' in section [Service], ignoring.": 254 for key in ("RestartSteps", "RestartMaxDelaySec")}


def read(config: str, folder: Path, **environ: str) -> settings.Settings:
    """A configuration as it is read on a host that has the secrets which it names."""
    return settings.parse(
        with_secrets((DEPLOY / config).read_text(), folder), file=folder / "config/taskqueue.toml", environ=environ
    )


def with_secrets(text: str, folder: Path) -> str:
    secrets = {"/etc/shop/database_url": "postgresql+psycopg://shop:s3cret@db/shop"}
    secrets |= {"/run/secrets/database_password": "s3cret"}
    for path, secret in secrets.items():
        file = folder / Path(path).name
        file.write_text(secret)
        text = text.replace(f"${{file:{path}}}", f"${{file:{file}}}")
    return text


def grace(config: str, folder: Path) -> float:
    return read(config, folder, DATABASE_HOST="db").supervisor.grace


def duration(text: str) -> float:
    return float(settings.durations.duration(text))


class TestSystemd:
    @pytest.fixture
    def verify(self, tmp_path):
        """systemd's own opinion of the unit, of each line that it does not like."""
        if (analyze := shutil.which("systemd-analyze")) is None:
            skip_or_fail("no systemd-analyze: apt install systemd")
        text = UNIT.read_text().replace("/srv/shop/env/bin/supervisor", sys.executable)
        (tmp_path / UNIT.name).write_text(text)

        def ask(*options: str) -> tuple[int, list[str]]:
            command = [analyze, *options, str(tmp_path / UNIT.name)]
            ended = subprocess.run(command, capture_output=True, text=True)
            return ended.returncode, ended.stderr.splitlines()

        return ask

    @pytest.fixture
    def version(self) -> int:
        said = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True).stdout
        return int(said.split()[1].split(".")[0])

    def test_it_understands_each_line_that_its_version_knows(self, verify, version):
        code, said = verify("verify", "--man=no")

        told = {re.sub(r"^.*?:\d+: ", "", line) for line in said}
        assert code == 0
        assert told == {text for text, since in NEWER.items() if version < since}

    def test_an_older_one_understands_what_stands_in_for_the_rest(self, verify, version, tmp_path):
        folder = tmp_path / f"{UNIT.name}.d"
        folder.mkdir()
        shutil.copy(OLDER, folder)
        code, said = verify("verify", "--man=no")

        assert code == 0
        assert [line for line in said if OLDER.name in line] == []

    def test_what_a_worker_could_be_misused_for_is_closed(self, verify):
        code, _ = verify("security", "--offline=yes", "--threshold=40")

        assert code == 0

    def test_it_stops_as_the_configuration_says(self, tmp_path):
        service = unit()

        assert service["KillMode"] == "mixed"
        assert float(service["TimeoutStopSec"]) >= grace(CONFIGS[0], tmp_path) + MARGIN
        assert float(service["TimeoutStartSec"]) > settings.SupervisorSettings().boot_timeout
        assert service["OOMPolicy"] == "continue"

    def test_it_is_started_anew_unless_it_can_never_work(self):
        service = unit()

        assert service["Restart"] == "on-failure"
        assert service["RestartPreventExitStatus"] == str(EXIT_CONFIGURATION)
        assert {"RestartSteps", "RestartMaxDelaySec", "WatchdogSec"} <= set(service)

    def test_its_folders_are_where_the_configuration_puts_its_files(self, tmp_path):
        read_, service = read(CONFIGS[0], tmp_path), unit()

        assert read_.supervisor.control_socket.parent == Path("/run") / service["RuntimeDirectory"]
        assert read_.supervisor.pidfile.parent == Path("/run") / service["RuntimeDirectory"]
        assert f"/var/lib/{service['StateDirectory']}/" in (DEPLOY / CONFIGS[0]).read_text()


def unit() -> configparser.SectionProxy:
    read_ = configparser.ConfigParser(strict=True, interpolation=None)
    read_.optionxform = str
    read_.read_string(UNIT.read_text())
    return read_["Service"]


class TestDockerfile:
    def test_hadolint_finds_nothing(self):
        hadolint = Path(sys.executable).with_name("hadolint")
        ended = subprocess.run([hadolint, DEPLOY / "docker/Dockerfile"], capture_output=True, text=True)

        assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")

    def test_the_supervisor_is_pid_1_and_hears_its_signals(self):
        last = dict(re.findall(r"^(USER|STOPSIGNAL|CMD|ENTRYPOINT|WORKDIR) (.+)$", DOCKERFILE, re.MULTILINE))

        assert json.loads(last["CMD"]) == ["supervisor", "run"]
        assert "ENTRYPOINT" not in last
        assert last["STOPSIGNAL"] == "SIGTERM"
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"]), "a number, and not root's"

    def test_its_health_is_that_of_the_supervisor(self):
        (command,) = re.findall(r"^HEALTHCHECK .* CMD (.+)$", DOCKERFILE, re.MULTILINE)

        assert json.loads(command) == PING

    def test_nothing_but_the_result_of_the_build_is_in_the_image(self):
        assert len(re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE)) == 2
        ignored = (DEPLOY / "docker/.dockerignore").read_text().split("\n")
        assert {".git", "secrets", "var"} <= set(ignored)


class TestCompose:
    def test_it_is_a_compose_file(self):
        composed = compose_spec.PyCompose.from_json(json.dumps(COMPOSE))

        composed.validate()
        assert set(composed.service_names()) == {"database", "init", "supervisor"}

    @pytest.mark.parametrize(
        ("key", "value"), [("stop_grace_periodd", "75s"), ("stop_grace_period", "75 cows"), ("secrets", ["none_such"])]
    )
    def test_a_slip_in_it_would_be_found(self, key, value):
        services = {**COMPOSE["services"], "supervisor": {**COMPOSE["services"]["supervisor"], key: value}}

        with pytest.raises(ValueError, match="supervisor|extension key|duration"):
            compose_spec.PyCompose.from_json(json.dumps({**COMPOSE, "services": services})).validate()

    def test_the_tables_are_there_before_the_supervisor(self):
        services = COMPOSE["services"]

        assert services["init"]["command"] == ["taskqueue", "init"]
        assert services["supervisor"]["depends_on"]["init"]["condition"] == "service_completed_successfully"
        for service in ("init", "supervisor"):
            assert services[service]["depends_on"]["database"]["condition"] == "service_healthy"
        assert services["database"]["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]

    def test_it_stops_as_the_configuration_says(self, tmp_path):
        stop = duration(COMPOSE["services"]["supervisor"]["stop_grace_period"])

        assert stop >= grace(CONFIGS[1], tmp_path) + MARGIN

    def test_it_has_what_the_configuration_asks_for(self):
        config = (DEPLOY / CONFIGS[1]).read_text()
        named = set(re.findall(r"\$\{file:/run/secrets/(\w+)\}", config))
        supervisor = COMPOSE["services"]["supervisor"]

        assert named == set(supervisor["secrets"]) == set(COMPOSE["secrets"])
        assert set(re.findall(r"\$\{([A-Z_]+)\}", config)) <= set(supervisor["environment"])
        assert any(mount.startswith("/run/shop:") for mount in supervisor["tmpfs"])

    def test_no_password_is_written_down(self):
        assert not re.search(r"password: ", (DEPLOY / "docker/compose.yaml").read_text(), re.IGNORECASE)


class TestKubernetes:
    @pytest.mark.parametrize("version", ["1.32", kubernetes_validate.latest_version()])
    @pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
    def test_it_is_what_its_kind_may_be(self, manifest, version):
        kubernetes_validate.validate(manifest, version, strict=True)

    def test_its_configuration_is_the_one_of_the_containers(self):
        (config,) = kinds("ConfigMap")

        assert config["data"]["taskqueue.toml"] == (DEPLOY / CONFIGS[1]).read_text()

    def test_every_probe_asks_the_supervisor_alone(self):
        (container,) = pod()["containers"]

        assert container["command"] == ["supervisor", "run"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["exec"]["command"] == PING
        patience = container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
        assert patience > settings.SupervisorSettings().boot_timeout

    def test_it_stops_as_the_configuration_says(self, tmp_path):
        assert pod()["terminationGracePeriodSeconds"] >= grace(CONFIGS[1], tmp_path) + MARGIN

    def test_the_tables_are_there_before_the_supervisor(self):
        (init,) = pod()["initContainers"]

        assert init["command"] == ["taskqueue", "init"]
        assert init["image"] == pod()["containers"][0]["image"]

    def test_it_has_what_the_configuration_asks_for(self, tmp_path):
        config = (DEPLOY / CONFIGS[1]).read_text()
        (container,) = pod()["containers"]
        volumes = {volume["name"]: volume for volume in pod()["volumes"]}
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        files = {item["path"] for item in mounts["/run/secrets"]["secret"]["items"]}

        assert set(re.findall(r"\$\{file:/run/secrets/(\w+)\}", config)) == files
        assert set(re.findall(r"\$\{([A-Z_]+)\}", config)) <= {variable["name"] for variable in container["env"]}
        read_ = read(CONFIGS[1], tmp_path, DATABASE_HOST="db").supervisor
        assert {str(read_.control_socket.parent), str(read_.pidfile.parent)} == {"/run/shop"}
        assert "emptyDir" in mounts["/run/shop"]
        assert mounts["/app/config"]["configMap"]["name"] == kinds("ConfigMap")[0]["metadata"]["name"]

    def test_nobody_is_root_and_nothing_is_written_but_to_volumes(self):
        user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[0]
        security = pod()["securityContext"]

        assert security["runAsNonRoot"] is True
        assert (str(security["runAsUser"]), str(security["runAsGroup"])) == user
        for container in (*pod()["containers"], *pod()["initContainers"]):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert {"requests", "limits"} <= set(container["resources"])

    def test_a_worker_is_replaced_before_the_container_is_full(self, tmp_path):
        limits = pod()["containers"][0]["resources"]["limits"]
        memory = settings.durations.size(limits["memory"] + "B")
        workers = int(limits["cpu"])

        assert read(CONFIGS[1], tmp_path, DATABASE_HOST="db").queue_defaults.max_memory * workers < memory * 0.9

    def test_its_parts_find_each_other(self):
        (deployment,), (budget,) = kinds("Deployment"), kinds("PodDisruptionBudget")
        labels = deployment["spec"]["template"]["metadata"]["labels"]

        assert deployment["spec"]["selector"]["matchLabels"] == labels
        assert budget["spec"]["selector"]["matchLabels"] == labels
        assert budget["spec"]["minAvailable"] < deployment["spec"]["replicas"]


def kinds(kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in MANIFESTS if manifest["kind"] == kind]


def pod() -> dict[str, Any]:
    (deployment,) = kinds("Deployment")
    return deployment["spec"]["template"]["spec"]


class TestConfigurations:
    @pytest.mark.parametrize("config", CONFIGS)
    def test_it_is_accepted_and_shows_no_password(self, config, tmp_path):
        read_ = read(config, tmp_path, DATABASE_HOST="db:5433")

        assert read_.brokers["main"].scheme == "postgresql"
        assert "s3cret" not in repr(read_)
        assert read_.supervisor.grace < read_.queue_defaults.timeout

    def test_the_number_of_workers_may_be_said_outside(self, tmp_path):
        read_ = read(CONFIGS[1], tmp_path, DATABASE_HOST="db", WORKERS="7")

        assert read_.queues["default"].workers == 7

    @pytest.fixture
    def database(self) -> sa.URL:
        try:
            return sa.make_url(new_database("postgresql"))
        except Unreachable as reason:
            skip_or_fail(str(reason))

    @pytest.mark.process
    @pytest.mark.parametrize("config", CONFIGS)
    def test_init_and_check_are_content(self, config, database, tmp_path):
        text = with_secrets((DEPLOY / config).read_text(), tmp_path)
        text = re.sub(
            r"^url = .*$", f'url = "{database.render_as_string(hide_password=False)}"', text, flags=re.MULTILINE
        )
        (tmp_path / "config").mkdir()
        (tmp_path / "config/taskqueue.toml").write_text(text)
        (tmp_path / "tasks.py").touch()
        for command in ("init", "check"):
            line = [sys.executable, "-m", "taskqueue", "--config", str(tmp_path / "config/taskqueue.toml"), command]
            ended = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
            assert (ended.returncode, ended.stderr) == (0, "")


class TestReadme:
    def test_its_commands_are_there(self):
        named = re.findall(r"(?<![\w/])taskqueue ([a-z]+)(?: ([a-z]+))?", commands())
        group = program()

        assert {name for name, _ in named} - set(COMMANDS) == set()
        for name, word in named:
            command = group.get_command(None, name)
            if hasattr(command, "commands_at") and word:
                assert word in command.commands_at, f"taskqueue {name} {word}"

    def test_the_supervisor_s_are_too(self):
        known = {"run", "status", "ping", "pause", "resume", "scale", "restart", "reload", "stop", "check", "init"}

        assert set(re.findall(r"(?<![\w/-])supervisor ([a-z]+)", commands())) - known == {"supervisor"}

    def test_its_keys_are_there(self):
        keys = set(re.findall(r"`\[supervisor\] (\w+)`", README))

        assert keys <= set(settings.SupervisorSettings.__struct_fields__)
        assert {"grace", "metrics_file"} <= keys

    def test_its_links_lead_somewhere(self):
        titles = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
        headings = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        for target in re.findall(r"\]\(([^)]+)\)", README):
            file, _, anchor = target.partition("#")
            assert (DEPLOY / file).exists(), target
            assert file or anchor in headings, target

    def test_every_file_is_named_in_it(self):
        # The pictures are those of the README of the whole.
        kept = [file for file in DEPLOY.rglob("*") if file.is_file() and file.suffix != ".webp"]
        files = [file for file in kept if file.name != "README.md"]

        assert [file.name for file in files if str(file.relative_to(DEPLOY)) not in README] == []

    def test_it_says_the_times_that_are_in_the_files(self, tmp_path):
        stop = unit()["TimeoutStopSec"]
        said = f"are {stop} s here for a grace of {grace(CONFIGS[0], tmp_path):g} s"

        assert said in README.replace("\n", " ")
        assert stop == COMPOSE["services"]["supervisor"]["stop_grace_period"].removesuffix("s")
        assert stop == str(pod()["terminationGracePeriodSeconds"])


def commands() -> str:
    """What is typed: between backticks, and what is indented."""
    return "\n".join([*re.findall(r"`([^`\n]+)`", README), *re.findall(r"^    (.+)$", README, re.MULTILINE)])
