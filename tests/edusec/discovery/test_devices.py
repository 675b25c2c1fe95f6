"""Which addresses of a discovery are one device: certain evidence joins, anything less keeps apart."""

import pytest

from edusec.discovery.devices import Devices, devices
from edusec.discovery.lines import lines
from edusec.discovery.sheet import as_csv
from edusec.discovery.show import show
from probes.kit.makers.table import Maker, Makers
from wire.types import Body, Observation, Outcome, RunStatus, Section, SectionKind, Target, TargetKind, Value

CARD, OTHER, INVENTED = "00:16:3e:00:00:0a", "00:16:3e:00:00:0b", "7e:00:00:00:00:0c"
UUID = "4d696e69-444c-164e-9d41-0016fe000001"


def seen(
    address: str, mac: str = "", /, *, outcome: Outcome = Outcome.SEEN, via: str = "arp", **more: Value
) -> Observation:
    card: dict[str, Value] = {"mac": mac, "local_mac": mac == INVENTED, "interface": "lan"} if mac else {}
    values: dict[str, Value] = {**card, "via": (via,), **more}
    return Observation("discovery", via, Target(TargetKind.HOST, address), outcome, 0.0, values)


def joined(*observations: Observation) -> list[tuple[str, ...]]:
    return [device.addresses for device in devices(observations).all]


def test_addresses_of_one_card_are_one_device() -> None:
    (device,) = devices([
        seen("fe80::1%lan", CARD, via="nd"),
        seen("2001:db8::1", CARD, via="mdns", name="Drucker"),
        seen("10.0.0.9", CARD, vendor="Acme"),
        seen("10.0.0.1", CARD),
    ]).all  # fmt: skip
    assert device.addresses == ("10.0.0.1", "10.0.0.9", "2001:db8::1", "fe80::1%lan")
    assert (device.id, device.macs, device.local_mac, device.why) == ("10.0.0.1", (CARD,), False, ("mac",))
    assert (device.said("name"), device.said("vendor"), device.said("model")) == ("Drucker", "Acme", "")
    assert device.via == ("arp", "nd", "mdns")


def test_an_invented_mac_is_one_device_on_its_own_link_only() -> None:
    (phone,) = devices([seen("10.0.0.2", INVENTED), seen("fe80::2%lan", INVENTED)]).all
    assert (phone.local_mac, phone.why) == (True, ("mac",))
    assert len(joined(seen("10.0.0.2", INVENTED), seen("10.1.0.2", INVENTED, interface="dmz"))) == 2
    assert len(joined(seen("10.0.0.2", CARD), seen("10.1.0.2", CARD, interface="dmz"))) == 1
    shared = "00:00:5e:00:01:07"  # VRRP: another pair of routers has it on another link
    assert len(joined(seen("10.0.0.1", shared), seen("10.1.0.1", shared, interface="dmz"))) == 2


def test_this_machine_is_one_device_whatever_its_cards() -> None:
    one, other = seen("10.0.0.1", CARD, via="own"), seen("10.1.0.1", OTHER, via="own")
    (mine,) = devices([one, other]).all
    assert (mine.mine, mine.macs, mine.why) == (True, (CARD, OTHER), ("own",))


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (seen("10.9.0.1", uuid=(UUID,)), seen("2001:db8::1", uuid=(UUID,)), ("uuid",)),
        (
            seen("10.9.0.1", uuid=(UUID,), hostname="pc"),
            seen("fe80::1%lan", uuid=(UUID,), hostname="pc"),
            ("hostname", "uuid"),
        ),
    ],
)
def test_without_a_card_enough_proof_joins(first: Observation, second: Observation, why: tuple[str, ...]) -> None:
    (device,) = devices([second, first]).all
    assert (device.addresses[0], device.why) == ("10.9.0.1", why)


@pytest.mark.parametrize(
    "apart",
    [
        (seen("10.9.0.1", hostname="pc"), seen("2001:db8::1", hostname="pc")),  # a name alone
        (seen("10.9.0.1", uuid=(UUID,)), seen("fe80::1%lan", uuid=(UUID,))),  # a UUID alone
        (seen("10.9.0.1", uuid=(UUID,), hostname="pc"), seen("10.9.0.2", uuid=(UUID,), hostname="pc")),  # clones
        (
            seen("10.9.0.1", uuid=(UUID,)),
            seen("10.9.0.2", uuid=(UUID,)),
            seen("2001:db8::1", uuid=(UUID,)),
        ),
        (seen("10.0.0.1", CARD, uuid=(UUID,)), seen("2001:db8::1", uuid=(UUID,), hostname="pc")),  # heard and repeated
        (seen("10.0.0.1", CARD, uuid=(UUID,)), seen("2001:db8::1", OTHER, uuid=(UUID,))),  # two cards
        # What hosts behind a router say of their own cards.
        (seen("10.9.0.1", mac=CARD, interface=""), seen("10.9.0.2", mac=CARD, interface="")),
    ],
)
def test_anything_less_keeps_apart(apart: tuple[Observation, ...]) -> None:
    assert joined(*apart) == [(item.target.name,) for item in apart]


def test_of_doubtful_addresses_nobody_says_whose_they_are() -> None:
    found = devices([
        seen("10.0.0.1", CARD),
        seen("10.0.0.2", CARD, outcome=Outcome.UNKNOWN, via="mdns"),
        seen("10.0.0.3", CARD, other_macs=(OTHER,)),
        *(seen(f"10.0.1.{number}", OTHER) for number in range(1, 10)),
    ])  # fmt: skip
    assert [device.addresses for device in found.all] == [("10.0.0.1",)]
    assert [item.target.name for item in found.unknown] == [
        "10.0.0.2",
        "10.0.0.3",
        *(f"10.0.1.{n}" for n in range(1, 10)),
    ]
    assert found.proxies == {OTHER: 9}


def section(found: tuple[Observation, ...]) -> tuple[Section, Devices]:
    made = Section("discovery", "discovery", SectionKind.STATE, RunStatus.DONE, "", 0.0, 1.0, body=Body(found))
    return made, devices(found)


def test_each_line_and_each_row_carries_its_device() -> None:
    lease = Observation(
        "discovery", "dhcp_lease", Target(TargetKind.HOST, "10.0.0.7"), Outcome.UNKNOWN, 0.0, {"mac": CARD}
    )
    found = (
        seen("10.0.0.1", CARD, name="=cmd()", vendor="Acme\x1b[2J"),
        seen("fe80::1%lan", CARD, via="nd"),
        seen("10.0.0.2", outcome=Outcome.UNKNOWN, via="ssdp"),
        lease,
    )
    makers = Makers({"00163E": Maker("=Acme\x1b[2J", "00163E", "own")})
    told = list(lines(*section(found), makers))
    assert [line["type"] for line in told] == ["run", "device", "host", "host", "host", "lease"]
    assert [line["device_id"] for line in told[1:]] == ["10.0.0.1", "10.0.0.1", "10.0.0.1", None, "10.0.0.1"]
    card = {
        "name": "=Acme\x1b[2J", "prefix": "00:16:3e", "confidence": 0.5, "evidence": "mac_prefix", "source": "own"
    }  # fmt: skip
    assert [line["maker"] for line in told[2:]] == [card, card, None, card]
    assert told[1] == {
        "schema": "edusec.discovery/1", "type": "device", "device_id": "10.0.0.1",
        "addresses": ["10.0.0.1", "fe80::1%lan"], "macs": [CARD], "local_mac": False, "this_machine": False,
        "makers": [card],
        "name": "=cmd()", "vendor": "Acme\x1b[2J", "model": None, "device": None, "system": None,
        "via": ["arp", "nd"], "joined_by": ["mac"],
    }  # fmt: skip
    head, *rows = as_csv(told).decode("utf-8-sig").splitlines()
    assert (
        head == "device_id,address,outcome,mac,local_mac,maker,name,vendor,model,device,system,via,interface,joined_by"
    )
    assert rows == [
        f"10.0.0.1,10.0.0.1,seen,{CARD},false,'=Acme\\x1b[2J,'=cmd(),Acme\\x1b[2J,,,,arp,lan,mac",
        f"10.0.0.1,fe80::1%lan,seen,{CARD},false,'=Acme\\x1b[2J,'=cmd(),Acme\\x1b[2J,,,,nd,lan,mac",
        ",10.0.0.2,unknown,,,,,,,,,ssdp,,",
    ]


def test_what_one_card_answers_for_is_one_row_for_people_unless_it_says_who_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    net = [seen(f"10.0.1.{number}", OTHER, **({"name": "nas"} if number == 100 else {})) for number in range(1, 255)]
    show(*section((seen("10.0.0.1", CARD), *net, seen("10.0.2.9", OTHER))), Makers({}))
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("?  ")]
    assert [[word for word in row if word.startswith("10.")] for row in rows] == [
        ["10.0.1.1-10.0.1.99"],
        ["10.0.1.100"],
        ["10.0.1.101-10.0.1.254"],
        ["10.0.2.9"],
    ]
    # Two that only claim one address each are told apart.
    show(
        *section((seen("10.0.0.1", CARD, other_macs=(OTHER,)), seen("10.0.0.2", CARD, other_macs=(OTHER,)))), Makers({})
    )
    assert "10.0.0.1-" not in capsys.readouterr().out
