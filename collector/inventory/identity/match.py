"""Which device is it? Assets have opaque ids; a MAC, an address, a key, a name or the agent itself is evidence for one.

Within a unit each piece of evidence points to one asset. A globally administered MAC or the agent's own machine is
strong: it alone decides. A locally administered MAC (phones invent them) decides only together with an address that
it held before, or with another proof. One that routers share (VRRP) says nothing beyond its address. An address alone
decides as long as no MAC contradicts it. Keys and names (collector.inventory.identity.weights) join what MAC and
address leave apart, when together they weigh enough.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from collector.inventory.identity.devices import (
    ADDRESS,
    AGENT,
    CARDS,
    FORMER_MAC,
    LOCAL_MAC,
    MAC,
    NOBODY,
    VIRTUAL_MAC,
    Devices,
    spot,
)
from collector.inventory.identity.weights import ENOUGH, PROVEN, WEIGHTS, Proof, Proofs, kind_of_place
from collector.sightings.addresses import address, is_local_mac
from collector.sightings.look import Look
from collector.sightings.picture import own_machine
from probes.kit.evidence import is_virtual_mac


class Card(NamedTuple):
    """A MAC and the interface behind which a run saw it, "" where it does not tell."""

    mac: str
    link: str = ""


@dataclass(slots=True)
class Identities:
    """Decides who is who in one unit while one section of one agent is taken in."""

    devices: Devices
    agent: str
    look: Look

    def of_address(self, name: str) -> str | None:
        """Give the asset that holds an address now."""
        if own_machine(name):
            return self.devices.find(AGENT, self.agent)
        return self.devices.find(ADDRESS, self._spot(name))

    def _spot(self, name: str) -> str:
        return spot(name, self.agent)

    def _hold(self, name: str, asset: str) -> str:
        return self.devices.hold(self._spot(name), asset)

    def resolve(
        self, name: str, mac: str, companions: Iterable[str], proofs: Iterable[Proof] = (), *, own: bool = False
    ) -> str:
        """Give the asset behind an address and a MAC ("" when unknown), making one where none fits.

        `companions` are the addresses that the same run saw with the same MAC, `proofs` what else it saw of the host;
        `own` says it is the agent's machine.
        """
        devices = self.devices
        if own or own_machine(name):
            found = devices.find(AGENT, self.agent) or self._adopt(name, mac) or devices.make(name)
            devices.point(AGENT, self.agent, found)
            if _decides(mac):
                self._take_mac(mac, found)
            if not own_machine(name):
                holder = self.of_address(name)
                if holder not in (None, found) and self._is_seen_at(str(holder), name):
                    devices.merge(str(holder), found, [(AGENT, self.agent)])
                self._hold(name, found)
            return found
        if not mac:
            return self.of_address(name) or self._hold(name, devices.make(name))
        if is_virtual_mac(mac) or mac in self.look.shared:
            return self._by_shared_mac(name, mac)
        if is_local_mac(mac):
            return self._by_local_mac(name, mac, companions, proofs)
        return self._by_mac(name, mac)

    def prove(self, name: str, proofs: Proofs) -> None:
        """Weigh what else a run saw of a host: it may be a device that is known under another address."""
        devices, holder = self.devices, self.of_address(name)
        if holder is None:
            return
        support: dict[str, list[Proof]] = {}
        for proof in sorted(proofs.of.get(name, ())):
            owner = devices.find(*proof)
            if owner is None:
                devices.point(*proof, holder)
            elif owner not in (holder, NOBODY):
                support.setdefault(owner, []).append(proof)
        for owner, found in sorted(support.items(), key=lambda item: (-proofs.worth(item[1]), item[0])):
            score = proofs.worth(found)
            if score < ENOUGH or self._contradict(holder, owner, name) or self._repeats(holder, owner, found):
                continue
            # The agent's own machine is never anybody else's; otherwise the one that is known longer lives on.
            old, new = (owner, holder) if AGENT in devices.kinds(holder) else (holder, owner)
            if devices.merge(old, new, found, score):
                holder = new
        for owner, found in support.items():
            if owner != holder and self._invents(holder) and self._invents(owner) and not self._seen_at_kinds(owner):
                # A phone that invented a MAC left its former self behind; its name has to back the new one.
                for proof in found:
                    devices.point(*proof, holder)

    def _invents(self, asset: str) -> bool:
        """Tell whether all that is known of a device's cards is invented."""
        return self.devices.kinds(asset) & CARDS in ({LOCAL_MAC}, {FORMER_MAC}, {LOCAL_MAC, FORMER_MAC})

    def share(self, proofs: Proofs) -> None:
        """What several devices show at once is nobody's from now on."""
        for proof in sorted(proofs.shared):
            if self.devices.find(*proof) != NOBODY:
                self.devices.point(*proof, NOBODY)

    def give_way(self, name: str, proofs: Proofs) -> bool:
        """An address shows other keys and names than it did: it is somebody else's now.

        Its new holder is whoever is known by what it shows, and else a new asset. Where a MAC told who held it, only a
        MAC tells who does now; True then: what it shows is not to be laid to anybody.
        """
        devices, holder = self.devices, self.of_address(name)
        if holder is None:
            return False
        kinds = devices.kinds(holder)
        if kinds & (CARDS | {AGENT}):
            return True
        support: dict[str, list[Proof]] = {}
        for proof in proofs.of.get(name, ()):
            support.setdefault(devices.find(*proof) or NOBODY, []).append(proof)
        known = [
            (proofs.worth(found), owner)
            for owner, found in support.items()
            if owner not in (NOBODY, holder)
            and proofs.worth(found) >= ENOUGH
            and not self._repeats(holder, owner, found)
            and kind_of_place(name) not in self._seen_at_kinds(owner)
        ]
        self._hold(name, max(known)[1] if known else devices.make(name))
        return False

    def _contradict(self, holder: str, owner: str, name: str) -> bool:
        """Two MACs of makers, two agents, or two addresses of one kind at the same time are two devices."""
        devices = self.devices
        one, other = devices.kinds(holder), devices.kinds(owner)
        if {MAC} <= one & other or {AGENT} <= one & other:
            return True
        here = self._seen_at_kinds(holder) | {kind_of_place(name)}
        return bool(here & self._seen_at_kinds(owner))

    def _repeats(self, holder: str, owner: str, found: Iterable[Proof]) -> bool:
        """What anybody can repeat makes nobody the device whose card is known, whose approval may rest on that card."""
        devices, known = self.devices, {MAC, AGENT}
        return bool(known & devices.kinds(holder)) != bool(known & devices.kinds(owner)) and not any(
            kind in PROVEN for kind, _ in found
        )

    def _seen_at_kinds(self, asset: str, besides: str = "") -> set[str]:
        """Give the kinds of addresses (proof.kind_of_place) where an asset is seen and this run does not deny it.

        With `besides`, one of its MACs, not where this run shows another of them: who has two cards has two addresses.
        """
        macs = self.devices.macs(asset)
        others = macs - {besides} if besides else set()
        return {
            kind_of_place(name)
            for name, agent in self.devices.seen_now(asset)
            if spot(name, agent) != self._spot(name)
            or not (self.look.denies(name, macs) or self.look.macs.get(name) in others)
        }

    def _by_mac(self, name: str, mac: str) -> str:
        devices = self.devices
        holder, owner = self.of_address(name), devices.find(MAC, mac)
        if owner is not None:
            return self._unite(name, holder, owner, (MAC, mac))
        if holder is None or devices.kinds(holder) & CARDS:
            holder = self._hold(name, devices.make(name))
        devices.point(MAC, mac, holder)
        devices.note(holder, "mac", "", mac)
        return holder

    def _by_local_mac(self, name: str, mac: str, companions: Iterable[str], proofs: Iterable[Proof]) -> str:
        devices, holder = self.devices, self.of_address(name)
        owner = devices.find(LOCAL_MAC, mac)
        if owner is not None and (holder == owner or self._is_backed(name, mac, owner, companions, proofs)):
            return self._unite(name, holder, owner, (LOCAL_MAC, mac))
        if holder is not None and mac in devices.macs(holder):
            return holder
        if holder is None or devices.kinds(holder) & CARDS:
            holder = self._hold(name, devices.make(name))
        if owner is not None:
            devices.point(FORMER_MAC, f"{mac} {owner}", owner)
        devices.point(LOCAL_MAC, mac, holder)
        devices.note(holder, "mac", "", mac)
        return holder

    def _by_shared_mac(self, name: str, mac: str) -> str:
        """Whatever shows such a MAC elsewhere is another device; what an agent says of its own address counts."""
        devices, holder, value = self.devices, self.of_address(name), f"{mac} {self._spot(name)}"
        owner = devices.find(VIRTUAL_MAC, value)
        if holder is not None and (owner == holder or AGENT in devices.kinds(holder)):
            return holder
        if owner is not None:
            return self._unite(name, holder, owner, (VIRTUAL_MAC, value))
        if holder is None or (devices.kinds(holder) & CARDS and mac not in devices.macs(holder)):
            holder = self._hold(name, devices.make(name))
        devices.point(VIRTUAL_MAC, value, holder)
        devices.note(holder, "mac", "", mac)
        return holder

    def _is_backed(self, name: str, mac: str, owner: str, companions: Iterable[str], proofs: Iterable[Proof]) -> bool:
        """An invented MAC alone proves nothing; with an address or another proof that its owner holds, it does."""
        if any(self.of_address(other) == owner for other in companions):
            return True
        more = sum(WEIGHTS[kind] for kind, value in set(proofs) if self.devices.find(kind, value) == owner)
        elsewhere = kind_of_place(name) in self._seen_at_kinds(owner, besides=mac)
        return WEIGHTS[LOCAL_MAC] + more >= ENOUGH and not elsewhere

    def _unite(self, name: str, holder: str | None, owner: str, why: Proof) -> str:
        """Let an address belong to the owner of a MAC; an asset that was only an address is the same device."""
        devices = self.devices
        if (
            holder not in (None, owner)
            and not devices.kinds(str(holder)) & (CARDS | {AGENT})
            and not devices.merge(str(holder), owner, [why])
        ):
            return str(holder)
        return self._hold(name, owner)

    def _adopt(self, name: str, mac: str) -> str | None:
        """An agent's machine may have been found before its agent said who it is; another agent's is never meant."""
        found = self.devices.find(MAC, mac) if _decides(mac) else None
        if found is None and not own_machine(name):
            found = self.of_address(name)
        return None if found is None or AGENT in self.devices.kinds(found) else found

    def _is_seen_at(self, asset: str, name: str) -> bool:
        """Tell whether someone else sees a device at an address just now; another agent's machine is never meant."""
        devices = self.devices
        return AGENT not in devices.kinds(asset) and any(
            state == "present" and missed_from == 0
            for _, _, state, missed_from in devices.sightings_at(asset, self._spot(name))
        )

    def _take_mac(self, mac: str, asset: str) -> None:
        devices = self.devices
        owner = devices.find(MAC, mac)
        if owner is not None and owner != asset and AGENT not in devices.kinds(owner):
            devices.merge(owner, asset, [(MAC, mac)])
        elif owner != asset:
            devices.point(MAC, mac, asset)
            devices.note(asset, "mac", "", mac)


def companions(cards: Mapping[str, Card], limit: int) -> dict[str, list[str]]:
    """Give for each address of a run those of its card; a card with more IPv4 addresses than the limit is left out.

    Such a one answers for others. An invented MAC is one card on one link only: other links have their own.
    """
    grouped: dict[Card, list[str]] = {}
    for name, card in cards.items():
        grouped.setdefault(card if is_local_mac(card.mac) else Card(card.mac), []).append(name)
    return {
        name: names
        for names in grouped.values()
        if sum(found.version == 4 for name in names if (found := address(name)) is not None) <= limit
        for name in names
    }


def behind_several(cards: Iterable[Card]) -> set[str]:
    """Give the invented MACs that one run saw behind several interfaces: those are several devices."""
    links: dict[str, set[str]] = {}
    for card in cards:
        if card.mac and card.link and is_local_mac(card.mac):
            links.setdefault(card.mac, set()).add(card.link)
    return {mac for mac, seen in links.items() if len(seen) > 1}


def _decides(mac: str) -> bool:
    return mac != "" and not is_local_mac(mac) and not is_virtual_mac(mac)
