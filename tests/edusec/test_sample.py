"""The sample files that `edusec up` uses and that operators copy: valid, and clearly samples."""

import csv
from importlib.resources import files
from pathlib import Path
from string import Template

from agent import config
from collector.memory.codes import faults_of_code, kind_of
from collector.registry.register_files import read_entry
from collector.sheets.reading import Problems, Record
from edusec.scan.request.whitelist import read_whitelist
from probes.kit import registry
from probes.kit.options import build

SAMPLE = files("edusec") / "sample"


def test_the_sample_tree_has_real_divisions_and_well_formed_school_codes() -> None:
    units = list(csv.DictReader((SAMPLE / "units.csv").read_text(encoding="utf-8").splitlines()))
    assert [unit["code"] for unit in units[:3]] == ["640000", "640100", "640104"]
    assert [unit["name"] for unit in units[:3]] == ["宁夏回族自治区", "银川市", "兴庆区"]
    for unit in units:
        assert faults_of_code(unit["code"]) == []
        assert unit["kind"] == kind_of(unit["code"])
    assert all(unit["name"].startswith("示例") for unit in units[3:])


def test_the_sample_whitelist_is_one_that_a_scan_takes() -> None:
    entries = read_whitelist(Path(str(SAMPLE / "whitelist.csv")))
    assert {entry.kind for entry in entries} == {"domain", "host", "port"}
    assert all("示例" in entry.approver for entry in entries)
    # A name that RFC 2606 keeps free: nobody's site is ever meant.
    assert [entry.value for entry in entries if entry.kind == "domain"] == ["www.school.example"]


def test_the_sample_register_is_one_that_a_collector_takes() -> None:
    rows = list(csv.DictReader((SAMPLE / "sites.csv").read_text(encoding="utf-8").splitlines()))
    problems = Problems("sites.csv")
    records = [Record(number, row) for number, row in enumerate(rows, 2)]
    assert {read_entry(record, record.values["unit"], problems) is not None for record in records} == {True}
    assert {row["kind"] for row in rows} == {"website", "system", "network"}


def test_the_sample_configuration_is_one_that_an_agent_takes(tmp_path: Path) -> None:
    text = (SAMPLE / "agent.toml").read_text(encoding="utf-8")
    file = tmp_path / "agent.toml"
    places = {"state": str(tmp_path), "scope": str(tmp_path / "scope.toml"), "metrics": "9917", "ports": "80,443"}
    file.write_text(Template(text).substitute(places), encoding="utf-8")
    tasks = config.load(file).tasks
    assert {task.probe for task in tasks} >= {"open_ports", "asset_whitelist", "ipv6_reachability", "bandwidth"}
    for task in tasks:
        build(registry.load(task.probe), task.options)
