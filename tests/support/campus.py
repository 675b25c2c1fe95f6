"""A made-up campus whose truth is known: what its devices show of themselves, day after day, and who really is who.

Leases move from device to device, phones invent MACs, images are cloned, certificates are shared, a network card is
replaced, and hosts behind a router show no MAC. Nothing here is told to the collector but what a probe would see.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import select

from collector.inventory.identity.devices import spot
from collector.store.tables import asset, evidence
from tests.support.collectors import DAY, Desk
from tests.support.confusion import Confusion
from tests.support.reports import covers, host, service, state
from wire.types import Observation, Value

LAN, LAN6, FAR, FAR6 = "10.1", "2001:db8:1", "10.2", "2001:db8:2"
SHARED_CERT, SHARED_KEY, SHARED_UUID = "5e" * 32, "sha256:" + "f" * 43, "0" * 8 + "-0000-4000-8000-" + "0" * 12


class Kind(StrEnum):
    """What a device is, and what is hard about it."""

    DESKTOP = "desktop, DHCP, dual stack"
    LAB = "lab PC of one image"
    PHONE = "phone, one invented MAC"
    ROTATING = "phone, a new MAC each week"
    GENERIC = "phone called as all are"
    PRINTER = "printer, shared certificate"
    CAMERA = "camera, shared key and certificate"
    SERVER = "server, dual stack"
    CARD = "server, card replaced"
    VM = "virtual machine"
    CLONE = "VM cloned with key and UUID"
    FAR = "behind a router, dual stack"
    FAR_CLONE = "behind a router, cloned"


SHARE: Mapping[Kind, int] = {
    Kind.DESKTOP: 70, Kind.LAB: 40, Kind.PHONE: 40, Kind.ROTATING: 25, Kind.GENERIC: 25, Kind.PRINTER: 20,
    Kind.CAMERA: 15, Kind.SERVER: 12, Kind.CARD: 3, Kind.VM: 10, Kind.CLONE: 10, Kind.FAR: 20, Kind.FAR_CLONE: 10,
}  # fmt: skip
"""Devices of each kind in a campus of 300."""
_ALWAYS_ON = frozenset({Kind.PRINTER, Kind.CAMERA, Kind.SERVER, Kind.CARD, Kind.VM, Kind.FAR})
_FIXED = frozenset({Kind.PRINTER, Kind.CAMERA, Kind.SERVER, Kind.CARD})
_INVENTED = frozenset({Kind.PHONE, Kind.ROTATING, Kind.GENERIC, Kind.VM, Kind.CLONE})


@dataclass
class Device:
    """One device; `addresses` is where it is now, empty while it is off."""

    number: int
    kind: Kind
    mac: str
    addresses: list[str] = field(default_factory=list)

    @property
    def far(self) -> bool:
        """Whether a router hides its MAC."""
        return self.kind in (Kind.FAR, Kind.FAR_CLONE)

    def of_host(self) -> dict[str, Value]:
        """What discovery sees of it."""
        said: dict[str, Value] = {} if self.far else {"mac": self.mac}
        if self.kind is Kind.LAB:
            said["hostname"] = "lab-pc"
        elif self.kind is Kind.GENERIC:
            said["hostname"] = "iphone"
        elif self.kind in (Kind.CLONE, Kind.FAR_CLONE):
            said |= {"hostname": "debian", "uuid": SHARED_UUID}
        elif self.kind is not Kind.CAMERA:
            said["hostname"] = f"{self.kind.name.lower()}-{self.number}"
        if self.kind in (Kind.CAMERA, Kind.SERVER, Kind.CARD):
            said["uuid"] = f"{self.number:08x}-0000-4000-8000-000000000001"
        if self.kind in (Kind.DESKTOP, Kind.VM):
            said["dhcp_id"] = f"00:01:00:01:{self.number:08x}"
        return said

    def of_services(self) -> dict[int, dict[str, Value]]:
        """What each of its ports shows."""
        own_key, own_cert = f"sha256:{self.number:043d}", f"{self.number:064x}"
        if self.kind in (Kind.SERVER, Kind.CARD, Kind.FAR):
            return {22: {"hostkey": own_key}, 443: {"cert": own_cert}}
        if self.kind is Kind.VM:
            return {22: {"hostkey": own_key}}
        if self.kind in (Kind.CLONE, Kind.FAR_CLONE):
            return {22: {"hostkey": SHARED_KEY}}
        if self.kind is Kind.PRINTER:
            return {443: {"cert": SHARED_CERT}}
        if self.kind is Kind.CAMERA:
            return {22: {"hostkey": SHARED_KEY[:-1] + "c"}, 443: {"cert": SHARED_CERT[:-1] + "c"}}
        return {}


class Campus:
    """All devices on a given half-day; `step` moves to the next one."""

    def __init__(self, devices: int = 300, seed: int = 1) -> None:
        """Make so many devices, in the shares of SHARE; the same seed lives the same month."""
        self.random = random.Random(seed)
        self.steps = 0
        self.devices: list[Device] = []
        for kind, share in SHARE.items():
            for _ in range(max(2, round(share * devices / 300))):
                self.devices.append(Device(len(self.devices) + 1, kind, ""))
        for device in self.devices:
            device.mac = self._new_mac(device)
        self._leases = {False: self._pool(LAN, devices), True: self._pool(FAR, max(20, devices // 8))}

    def _pool(self, prefix: str, size: int) -> list[str]:
        # Hardly more addresses than devices, so that each is soon somebody else's.
        free = [f"{prefix}.{number // 200}.{number % 200 + 10}" for number in range(size)]
        self.random.shuffle(free)
        return free

    def _new_mac(self, device: Device) -> str:
        number = self.random.getrandbits(24)
        first = "52:54:00" if device.kind in (Kind.VM, Kind.CLONE) else "da:a1:19"
        maker = first if device.kind in _INVENTED else "00:16:3e"
        return ":".join([maker, *(f"{number >> shift & 255:02x}" for shift in (16, 8, 0))])

    def step(self) -> None:
        """Half a day later: some are switched off or on, leases end, MACs change."""
        self.steps += 1
        day, half = divmod(self.steps, 2)
        for device in self.devices:
            on = device.kind in _ALWAYS_ON or self.random.random() < (0.25 if day % 7 >= 5 else 0.75)
            if self.steps > 1 and self.random.random() < 0.02:
                on = False
            leased = device.addresses[:1]
            keeps = device.kind in _FIXED or self.random.random() < (0.97 if device.far else 0.8)
            if leased and (not on or not keeps):
                if device.kind not in _FIXED:
                    self._leases[device.far].insert(0, leased[0])
                device.addresses = []
            if device.kind is Kind.ROTATING and half == 0 and day % 7 == device.number % 7:
                device.mac = self._new_mac(device)
            if device.kind is Kind.CARD and self.steps == 21:
                device.mac = self._new_mac(device)
        for device in self.devices:
            wants = device.kind in _ALWAYS_ON or self.random.random() < 0.8
            if not device.addresses and wants and self._leases[device.far]:
                device.addresses = [self._leases[device.far].pop()]
                if device.kind in (Kind.DESKTOP, Kind.SERVER, Kind.CARD, Kind.FAR):
                    device.addresses.append(f"{FAR6 if device.far else LAN6}::{device.number:x}")
                if device.kind in _INVENTED and device.number % 2:
                    device.addresses.append(f"fe80::{device.mac.replace(':', '')[4:8]}:{device.number:x}%lan")

    def shuffle_leases(self, share: float) -> None:
        """Let some leases change hands between one probe and the next."""
        here = [one for one in self.devices if one.addresses and not one.far and one.kind not in _FIXED]
        for one, other in zip(here[::2], here[1::2], strict=False):
            if self.random.random() < share:
                one.addresses[0], other.addresses[0] = other.addresses[0], one.addresses[0]

    def hosts(self, *, far: bool) -> Iterator[Observation]:
        """What discovery finds, on the link or behind the router."""
        for device in self.devices:
            if device.far == far:
                for name in device.addresses:
                    yield host(name, **device.of_host())

    def services(self, *, far: bool) -> Iterator[Observation]:
        """What a port scan finds, which sees no MAC."""
        for device in self.devices:
            if device.far == far:
                for name in device.addresses:
                    for port, said in device.of_services().items():
                        yield service(name, port, **said)

    def truth(self) -> dict[str, Device]:
        """Who is at each address."""
        return {name: device for device in self.devices for name in device.addresses}


def live(campus: Campus, desk: Desk, half_days: int) -> Confusion:
    """Let a collector look at a campus twice a day; gives which asset each device was taken for, in the end."""
    agent, found = desk.agent(), Confusion()
    for _ in range(half_days):
        campus.step()
        at = desk.clock.forward(DAY / 2 - 600)
        desk.send(agent, state("discovery", *campus.hosts(far=False), covers(f"{LAN}.0.0/16"), at=at))
        _compare(campus, desk, agent.id, found, far=False)
        campus.shuffle_leases(0.03)
        at = desk.clock.forward(600)
        desk.send(
            agent,
            state("ports", *campus.services(far=False), covers(f"{LAN}.0.0/16"), at=at),
            state("far", *campus.hosts(far=True), *campus.services(far=True), covers(f"{FAR}.0.0/16"), at=at),
        )
        _compare(campus, desk, agent.id, found, far=True)
    with desk.core.store.reader() as connection:
        heirs = {old: new for old, new in connection.execute(select(asset.c.id, asset.c.merged_into)) if new}
    while any(new in heirs for new in heirs.values()):
        heirs = {old: heirs.get(new, new) for old, new in heirs.items()}
    return found.renamed(heirs)


def _compare(campus: Campus, desk: Desk, agent: str, found: Confusion, *, far: bool) -> None:
    with desk.core.store.reader() as connection:
        query = select(evidence.c.value, evidence.c.asset).where(evidence.c.kind == "address")
        holders = {row.value: row.asset for row in connection.execute(query)}
    for name, device in campus.truth().items():
        if device.far == far:
            found.add(device.number, holders[spot(name, agent)])
