"""The scope file: what is written is read back, what is broken changes nothing, and many may write at once."""

import stat
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.errors import ScopeError
from probes.kit.scope.entries import check_entry
from probes.kit.scope.file import (
    MAX_ENTRIES,
    MAX_FILE,
    add_entry,
    load_scope,
    read_entries,
    remove_entry,
    save_scope,
)
from probes.kit.scope.model import THIS_MACHINE
from wire.types import ScopeEntry

TODAY = date(2026, 11, 22)
GOOD = '[[entry]]\nvalue = "10.1.0.0/16"\nauthoriser = "Li"\nreason = "yearly"\nuntil = 2027-01-01\n'


def entry(value: str, ports: str = "", until: date = date(2027, 1, 1)) -> ScopeEntry:
    return ScopeEntry(value, "Li", "yearly", until, ports)


def test_no_file_means_this_machine_only(tmp_path: Path) -> None:
    assert load_scope(tmp_path / "scope.toml", TODAY).entries == THIS_MACHINE


def test_what_is_added_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "scope.toml"
    added = add_entry(path, entry(" 10.1.0.0/16 ", "22,80"), TODAY)
    add_entry(path, entry("教育.中国"), TODAY)
    assert [item.value for item in read_entries(path, TODAY)] == ["10.1.0.0/16", "xn--wcvs22d.xn--fiqs8s"]
    assert load_scope(path, TODAY).entries == (*THIS_MACHINE, added, entry("xn--wcvs22d.xn--fiqs8s"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_adding_again_renews(tmp_path: Path) -> None:
    path = tmp_path / "scope.toml"
    add_entry(path, entry("10.1.0.0/16"), TODAY)
    add_entry(path, entry("10.1.0.0/16", until=date(2027, 6, 1)), TODAY)
    add_entry(path, entry("10.1.0.0/16", "80"), TODAY)
    assert [(item.until, item.ports) for item in read_entries(path, TODAY)] == [
        (date(2027, 6, 1), ""),
        (date(2027, 1, 1), "80"),
    ]


def test_removing_takes_any_spelling_and_names_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "scope.toml"
    add_entry(path, entry("2001:db8::/32"), TODAY)
    assert [item.value for item in remove_entry(path, "2001:0DB8::/32", TODAY)] == ["2001:db8::/32"]
    with pytest.raises(ScopeError, match="nothing but this machine"):
        remove_entry(path, "2001:db8::/32", TODAY)


def test_a_refused_entry_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scope.toml"
    add_entry(path, entry("10.1.0.0/16"), TODAY)
    before = path.read_bytes()
    for faulty in (
        entry("0.0.0.0/0"),
        entry("10.2.0.0/16", until=TODAY - timedelta(1)),
        ScopeEntry("10.2.0.0/16", "", "r", TODAY),
    ):
        with pytest.raises(ScopeError):
            add_entry(path, faulty, TODAY)
    assert path.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == [".scope.toml.lock", "scope.toml"]


def test_an_entry_whose_day_has_passed_stays_readable_and_authorises_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scope.toml"
    add_entry(path, entry("10.1.0.0/16", until=TODAY), TODAY)
    scope = load_scope(path, TODAY + timedelta(30))
    assert len(scope.entries) == 3
    assert not scope.allows_address("10.1.0.1", 80, TODAY + timedelta(30))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[entry]", "not TOML"),
        ("\xff", "line 1 is not UTF-8"),
        ("a = 1", "'a' is not known"),
        ("entry = 1", "entry: must be"),
        ("entry = [1]", "entry: must be"),
        (GOOD + "colour = 1\n", "entry 1: colour: is not known"),
        (GOOD + "ports = 80\n", "entry 1: ports: must be a text"),
        (GOOD + 'ports = "80-"\n', "entry 1: ports: "),
        (GOOD.replace("2027-01-01", '"2027-01-01"'), "entry 1: until: must be a date without quotes"),
        (GOOD.replace("2027-01-01", "2027-01-01T00:00:00"), "entry 1: until: must be a date"),
        (GOOD.replace("2027-01-01", "2029-01-01"), "entry 1: until: .*400 days"),
        (GOOD.replace("until = 2027-01-01\n", ""), "entry 1: until: is missing"),
        (GOOD.replace('"Li"', '""'), "entry 1: authoriser: is empty"),
        (GOOD.replace('value = "10.1.0.0/16"\n', ""), "entry 1: value: is missing"),
        (GOOD.replace("10.1.0.0/16", "0.0.0.0/0"), "entry 1: value: .*too large"),
        (GOOD + GOOD.replace("10.1.0.0/16", "10.1.2.3/16"), "entry 2: value: .*is meant"),
        (GOOD * (MAX_ENTRIES + 1), "at most 998 are allowed"),
        ("#" + "x" * MAX_FILE, "larger than"),
        ("a = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_a_broken_file_names_its_fault(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "scope.toml"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(ScopeError, match=f"(?s)^{path}: .*{says}"):
        load_scope(path, TODAY)
    with pytest.raises(ScopeError):
        add_entry(path, entry("10.2.0.0/16"), TODAY)
    assert path.read_bytes() == text.encode("latin-1")


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "scope.toml"
    path.write_text(GOOD.replace("Li", "") + GOOD.replace("10.1.0.0/16", "x y"))
    path.chmod(0o600)
    with pytest.raises(ScopeError) as caught:
        load_scope(path, TODAY)
    assert len(caught.value.problems) == 2


def test_a_file_that_others_may_write_authorises_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scope.toml"
    path.write_text(GOOD)
    path.chmod(0o620)
    with pytest.raises(ScopeError, match="chmod 600"):
        load_scope(path, TODAY)


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScopeError, match="EDUSEC_SCOPE"):
        load_scope(tmp_path, TODAY)
    (tmp_path / "file").write_text("")
    with pytest.raises(ScopeError, match="EDUSEC_SCOPE"):
        add_entry(tmp_path / "file" / "scope.toml", entry("10.1.0.0/16"), TODAY)


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


@given(
    value=st.sampled_from(["10.1.0.0/16", "2001:db8::/48", "*.school.edu.cn", "a.cn"]), authoriser=texts, reason=texts
)
def test_any_text_that_is_accepted_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, value: str, authoriser: str, reason: str
) -> None:
    try:
        checked = check_entry(ScopeEntry(value, authoriser, reason, TODAY, "1-5"), TODAY)
    except ScopeError:
        return
    path = tmp_path_factory.mktemp("scope") / "scope.toml"
    save_scope(path, [*THIS_MACHINE, checked])
    assert read_entries(path, TODAY) == (checked,)


_ADD = """
import sys
from datetime import date
from pathlib import Path
from probes.kit.scope.file import add_entry, remove_entry
from wire.types import ScopeEntry
path, worker, today = Path(sys.argv[1]), int(sys.argv[2]), date(2026, 11, 22)
for number in range(15):
    add_entry(path, ScopeEntry(f"10.{worker}.{number}.0/24", "Li", "yearly", date(2027, 1, 1)), today)
remove_entry(path, f"10.{worker}.0.0/24", today)
"""


def test_processes_that_change_it_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scope.toml"
    workers = [subprocess.Popen([sys.executable, "-c", _ADD, str(path), str(worker)]) for worker in range(4)]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0, 0]
    expected = {f"10.{worker}.{number}.0/24" for worker in range(4) for number in range(1, 15)}
    assert {item.value for item in read_entries(path, TODAY)} == expected
