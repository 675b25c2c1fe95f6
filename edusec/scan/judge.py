"""What the rules say of one scan; facts that a single scan cannot know (unit, exposure, baseline) stay unknown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from edusec.scan.lines import Line
from rules.evaluate import judge
from rules.facts import FactValue, Subject, SubjectKind
from rules.loader import load_packs
from rules.model import Judgement, Verdict
from wire.ports import contains, parse_ports


def judge_scan(
    hosts: Sequence[Line], services: Sequence[Line], coverage: Sequence[Line], names: Mapping[str, str], today: date
) -> list[Judgement]:
    """Give what matched, in the order of the subjects."""
    subjects = [*_services(services, coverage, names, today), *_hosts(hosts)]
    rules = load_packs()
    return [found for subject in subjects for found in judge(rules, subject) if found.verdict is Verdict.MATCH]


def _services(
    services: Sequence[Line], coverage: Sequence[Line], names: Mapping[str, str], today: date
) -> Iterator[Subject]:
    states = {(line["address"], line["transport"], line["port"]): line["state"] for line in services}
    for line in services:
        facts: dict[str, FactValue] = {
            name: line[name]
            for name in ("address", "family", "transport", "port", "state", "standing", "product")
            if line[name] is not None
        }
        if line["standing"] == "expired" and line["expires"]:
            facts["whitelist_expired_days"] = (today - date.fromisoformat(line["expires"])).days
        facts.update(_families(line, states, coverage, names))
        label = f"{line['address']} {line['port']}/{line['transport']}"
        yield Subject(SubjectKind.SERVICE, label, "", label, facts)


def _families(
    line: Line, states: Mapping[tuple[str, str, int], str], coverage: Sequence[Line], names: Mapping[str, str]
) -> dict[str, FactValue]:
    """Compare both families of one host; only a name that stands for several addresses says that they are one host."""
    found: dict[str, FactValue] = {f"state_v{line['family']}": line["state"]}
    name = names.get(line["address"])
    twins = [address for address, other in names.items() if name and other == name and address != line["address"]]
    for twin in twins:
        family = 6 if ":" in twin else 4
        if family == line["family"]:
            continue
        state = states.get((twin, line["transport"], line["port"]))
        if state is None and _covered(twin, line, coverage):
            state = "closed"
        if state is not None:
            found[f"state_v{family}"] = state
    return found


def _covered(address: str, line: Line, coverage: Iterable[Line]) -> bool:
    return any(
        address in {prefix.partition("/")[0] for prefix in item["prefixes"]}
        and item["transport"] == line["transport"]
        and contains(parse_ports(item["ports"]), line["port"])
        for item in coverage
    )


def _hosts(hosts: Sequence[Line]) -> Iterator[Subject]:
    for line in hosts:
        facts: dict[str, FactValue] = {
            "standing": line["standing"],
            "presence": "present",
            "addresses": (line["address"],),
        }
        yield Subject(SubjectKind.ASSET, line["address"], "", line["address"], facts)
