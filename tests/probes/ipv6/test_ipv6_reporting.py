"""What the collector keeps of the checks: one answer for the site, and each check as a fact of its own."""

from collector.sightings.picture import draw
from probes.kit.ipv6.model import Check, Verdict
from probes.kit.ipv6.site.judge import V6_CHECKS
from probes.site_ipv6 import observations, without_ipv6
from wire.types import Outcome

SITE = "www.school.test"


def test_each_check_stays_apart_and_the_site_has_one_answer() -> None:
    checks = [Check(name, Verdict.PASS, "", ("seen",)) for name in V6_CHECKS if name != "WEB-EXT"]
    picture = draw(observations(SITE, [*checks, Check("WEB-EXT", Verdict.FAIL, "ext_active", ("cdn",))], "pass"))
    assert picture.seen[f"w|{SITE}"][0] == "pass"
    assert '"ipv6":"pass"' in picture.seen[f"w|{SITE}"][1]
    assert '"aaaa":true' in picture.seen[f"w|{SITE}"][1]
    facts = {key.rpartition("|")[2]: state for key, (state, _) in picture.seen.items() if key.startswith("f|site|")}
    assert facts == {name: "fail" if name == "WEB-EXT" else "pass" for name in V6_CHECKS}


def test_a_blind_vantage_point_reports_nothing_about_the_site() -> None:
    said = {item.method: item for item in observations(SITE, without_ipv6("gate_silent"))}
    assert {item.outcome for item in said.values()} == {Outcome.UNKNOWN}
    assert (said["LEVEL"].values["aaaa"], said["LEVEL"].values["ipv4"]) == (None, "unknown")
    assert (said["LEVEL"].values["confirmed"], said["LEVEL"].values["possible"]) == (0, 4)


def test_a_site_without_aaaa_fails_on_ipv6() -> None:
    checks = [Check("WEB-AAAA", Verdict.FAIL, "no_aaaa"), Check("WEB-HTTP", Verdict.UNKNOWN, "depends")]
    level = next(item for item in observations(SITE, checks, "pass") if item.method == "LEVEL")
    assert (level.outcome, level.values["aaaa"], level.values["ipv4"]) == (Outcome.FAIL, False, "pass")
