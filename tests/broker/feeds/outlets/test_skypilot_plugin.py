"""The market as a cloud of SkyPilot, played through by SkyPilot itself where an interpreter that has it is named."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from broker.feeds.outlets import skypilot
from contracts.terms.quotes import QuoteRequest
from tests.broker.feeds.outlets.test_outlets import ACCESS, an_offer, told_by
from tests.broker.terminal import run

LEASE = ACCESS.lease_id
PLAY = f"""
import json, sys
sys.path.insert(0, {str(skypilot.PLUGIN)!r})
from unittest import mock
import yaml
from sky.server import plugins
plugins.load_plugins(plugins.ExtensionContext())
import sky
from sky import check, clouds, optimizer, provision
from sky.provision import common
from sky.utils import common_utils, registry

say = lambda *words: print("said:", *words)
cloud = registry.CLOUD_REGISTRY.from_str("gridfare")
say(cloud.check_credentials(clouds.CloudCapability.COMPUTE)[0])
with sky.Dag() as dag:
    task = sky.Task(run="nvidia-smi")
    task.set_resources(sky.Resources(accelerators="H100:8"))
with mock.patch.object(check, "get_cached_enabled_clouds_or_refresh", lambda *_, **__: [cloud]):
    optimizer.Optimizer.optimize(dag, quiet=True)
best = task.best_resources
say(best.cloud, best.instance_type, best.region, best.get_cost(3600))
facts = cloud.make_deploy_resources_variables(best, "c", region=clouds.Region("FR"), zones=None, num_nodes=1)
names = ("cluster_name_on_cloud", "ssh_private_key", "sky_ray_yaml_remote_path", "sky_ray_yaml_local_path", "sky_remote_path")
names += ("sky_wheel_hash", "sky_local_path", "conda_installation_commands", "uv_installation_commands")
names += ("ray_skypilot_installation_commands", "copy_skypilot_templates_commands")
spec = provision.get_registered_provisioner("gridfare").template_override(task, best)
plain = {{name: name for name in names}} | {{"credentials": {{}}, "initial_setup_commands": ["true;"]}}
common_utils.fill_template(spec.template_path, plain | facts, "cluster.yaml")
made = yaml.safe_load(open("cluster.yaml"))
node = made["available_node_types"][made["head_node_type"]]["node_config"]
say(made["provider"]["module"], node)
config = common.ProvisionConfig(made["provider"], made["auth"], {{}}, node, 1, {{}}, False, None)
record = provision.run_instances("gridfare", "FR", "c", "c-1", config)
say(record.head_instance_id, record.created_instance_ids)
again = provision.run_instances("gridfare", "FR", "c", "c-1", config)
say(again.created_instance_ids)
info = provision.get_cluster_info("gridfare", "FR", "c-1", made["provider"])
head = info.instances[info.head_instance_id][0]
say(head.external_ip, head.ssh_port, info.ssh_user)
say({{lease: status.name for lease, (status, _) in provision.query_instances("gridfare", "c", "c-1").items()}})
provision.terminate_instances("gridfare", "c-1", made["provider"])
say(provision.query_instances("gridfare", "c", "c-1"))
"""
STUB = '#!/bin/sh\necho "$@" >> "$HOME/copied"\n"$SSH_ASKPASS" >> "$HOME/copied"\n'


class Broker:
    """What the plugin asks of a broker, answered; every request is kept."""

    def __init__(self) -> None:
        self.state = "active"
        self.asked: list[tuple[str, bytes, str]] = []
        broker = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                broker.asked.append((self.path, body, self.headers["Idempotency-Key"]))
                self.reply()

            def do_GET(self) -> None:
                self.reply()

            def reply(self) -> None:
                assert self.headers["Authorization"] == "Bearer gf_key"
                if self.path.endswith("/release"):
                    broker.state = "released"
                access = msgspec.to_builtins(ACCESS) if self.path.endswith("/access") else {}
                answer = msgspec.json.encode({"quote_id": "quo_1", "lease_id": LEASE, "state": broker.state, **access})
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def broker():
    broker = Broker()
    yield broker
    broker.server.shutdown()
    broker.server.server_close()


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_skypilot_buys_a_lease_lands_on_it_and_releases_it(broker, tmp_path, monkeypatch):
    """8 H100 at 2.10 in France beside 3.00 in Germany: 16.80 an hour, bought for four hours, let in by the lease's token."""
    catalogue = skypilot.catalogue([an_offer(), an_offer(country="DE", all_in_micros=3_000_000)])
    written(tmp_path / ".sky/catalogs/v8/gridfare/vms.csv", catalogue)
    written(tmp_path / ".sky/catalogs/v8/common/accelerators.csv", "AcceleratorName,Clouds\nH100,Gridfare\n")
    written(tmp_path / ".sky/plugins.yaml", "plugins:\n  - class: gridfare_sky.GridfarePlugin\n    parameters: {hours: 4}\n")
    kept = {"current": "here", "known": {"here": {"url": broker.url, "key": "gf_key"}}}
    written(tmp_path / ".config/gridfare/brokers.json", msgspec.json.encode(kept).decode())
    written(tmp_path / "bin/ssh-copy-id", STUB).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    told = [line.removeprefix("said: ") for line in told_by(PLAY, "", tool="SKYPILOT", home=tmp_path) if line.startswith("said: ")]
    assert told == [
        "True",
        "Gridfare 8x_H100-SXM FR 16.8",
        "sky.provision.gridfare {'InstanceType': '8x_H100-SXM', 'Tier': 'standard', 'Hours': 4}",
        f"{LEASE} ['{LEASE}']",
        "[]",
        "10.1.2.3 22 gpu",
        f"{{'{LEASE}': 'UP'}}",
        "{}",
    ]
    assert [path for path, _, _ in broker.asked] == ["/v1/quotes", "/v1/quotes/quo_1/accept", f"/v1/leases/{LEASE}/release"]
    wish = msgspec.json.decode(broker.asked[0][1], type=QuoteRequest)
    assert (wish.accelerators, wish.hours, wish.hardware, wish.countries, wish.tier) == (8, 4.0, ["H100-SXM"], ["FR"], "standard")
    assert all(once for _, _, once in broker.asked)
    copied = (tmp_path / "copied").read_text()
    assert "gpu@10.1.2.3" in copied
    assert copied.splitlines()[1] == "gfa_secret"
    assert "gfa_secret" not in copied.splitlines()[0]


def test_the_plugin_is_handed_out_whole(capsys, tmp_path):
    done = run(capsys, "outlet", "skypilot-plugin", str(tmp_path / "plugin"))
    assert done.out == 'plugins:\n  - class: "gridfare_sky.GridfarePlugin"\n    parameters:\n      hours: 8\n'
    assert {path.name for path in (tmp_path / "plugin").iterdir()} == set(skypilot.PLUGIN_FILES)
    source = (tmp_path / "plugin" / "gridfare_sky.py").read_text()
    assert not re.search(r"^(?:from|import) (?:broker|contracts|pricing)", source, re.MULTILINE), "it runs where we are not installed"
