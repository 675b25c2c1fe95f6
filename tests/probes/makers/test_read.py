"""Files of MAC prefixes: Debian's real ones, and what is wrong with others."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.makers.read import MAX_FAULTS, MAX_FILE, Assigned, MakerFileError, holds_prefixes, read_makers
from probes.kit.makers.table import Source, look_up, save

IEEE, ARP_SCAN = Path("/usr/share/ieee-data"), Path("/usr/share/arp-scan/ieee-oui.txt")
NMAP, NMAP_PROBES = Path("/usr/share/nmap/nmap-mac-prefixes"), Path("/usr/share/nmap/nmap-service-probes")

TEXT = """OUI/MA-L                                                    Organization                                 \r
company_id                                                  Organization                                 \r
                                                            Address                                      \r
\r
44-19-B6   (hex)\t\tHangzhou Hikvision\r
4419B6     (base 16)\t\tHangzhou Hikvision\r
\t\t\t\tNo. 555 Qianmo Road\r
\t\t\t\tCN\r
\r
20-85-93   (hex)\t\tIOG\r
B00000-BFFFFF     (base 16)\t\tIOG\r
\r
70-B3-D5   (hex)\t\tTele\r
F2F000-F2FFFF     (base 16)\t\tTele\r
"""
CSV = "Registry,Assignment,Organization Name,Organization Address\n"


def made(folder: Path, text: str, name: str = "list.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def faults_of(path: Path) -> list[str]:
    with pytest.raises(MakerFileError) as caught:
        read_makers(path)
    return str(caught.value).split("\n")


@pytest.mark.skipif(not IEEE.is_dir(), reason="needs ieee-data: apt-get install ieee-data")
@pytest.mark.parametrize(("name", "digits"), [("oui", 6), ("mam", 7), ("oui36", 9), ("iab", 9)])
def test_both_forms_of_ieee_hold_the_same(name: str, digits: int) -> None:
    as_csv, as_text = IEEE / f"{name}.csv", IEEE / f"{name}.txt"
    assert holds_prefixes(as_csv)
    assert holds_prefixes(as_text)
    one, other = read_makers(as_csv), read_makers(as_text)
    assert {*map(len, one.names)} == {digits}
    # IEEE's text leaves quotation marks out.
    assert {prefix: held.replace('"', "") for prefix, held in one.names.items()} == other.names
    assert one.left_out == other.left_out
    repeated = 3 if name == "oui" else 0  # 080030 has three holders, 0001C8 two
    rows = as_csv.read_bytes().decode().count("\r\n") or as_csv.read_bytes().count(b"\n")
    assert len(one.names) + one.left_out + repeated == rows - 1


@pytest.mark.skipif(not IEEE.is_dir(), reason="needs ieee-data: apt-get install ieee-data")
def test_of_several_holders_all_are_named() -> None:
    names = read_makers(IEEE / "oui.csv").names
    assert {*names["080030"].split(" / ")} == {"NETWORK RESEARCH CORPORATION", "ROYAL MELBOURNE INST OF TECH", "CERN"}


@pytest.mark.parametrize(("path", "package"), [(ARP_SCAN, "arp-scan"), (NMAP, "nmap")])
def test_the_lists_of_other_scanners(path: Path, package: str) -> None:
    if not path.is_file():
        pytest.skip(f"needs {path}: apt-get install {package}")
    assert holds_prefixes(path)
    read = read_makers(path)
    assert len(read.names) > 30_000
    assert "Hikvision" in read.names["4419B6"]
    assert not {"Private", "IEEE Registration Authority"} & {*read.names.values()}


@pytest.mark.skipif(not NMAP_PROBES.is_file(), reason="needs nmap: apt-get install nmap")
def test_a_file_of_fingerprints_is_none_of_prefixes() -> None:
    assert not holds_prefixes(NMAP_PROBES)


def test_ranges_of_the_text_become_prefixes(tmp_path: Path) -> None:
    path = made(tmp_path, TEXT)
    assert holds_prefixes(path)
    assert read_makers(path).names == {"4419B6": "Hangzhou Hikvision", "208593B": "IOG", "70B3D5F2F": "Tele"}


def test_a_list_of_ones_own(tmp_path: Path) -> None:
    text = "\ufeff# ours\n\n44:19:b6\tCameras\n00-00-5e-00-01  VRRP (last octet)\n001122 A\n001122 B\n001122 A\n"
    path = made(tmp_path, text)
    assert holds_prefixes(path)
    assert read_makers(path) == Assigned({"4419B6": "Cameras", "00005E0001": "VRRP (last octet)", "001122": "A / B"}, 0)


def test_what_names_no_maker_is_left_out(tmp_path: Path) -> None:
    text = "525400 QEMU\n02BF Microsoft\nFFFFFFFFFFFF Broadcast\n0055DA IEEE Registration Authority\n741AE09 Private\n"
    text += "00005E ICANN, IANA Department\n"
    assert read_makers(made(tmp_path, f"{text}001122 A\n")) == Assigned({"001122": "A"}, 6)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("001122 A\nXY1122 B\n", "list.txt:2:prefix: must be 2 to 12 hex digits, not 'XY1122'"),
        ("001122 A\n0 B\n", "list.txt:2:prefix: must be 2 to 12 hex digits, not '0'"),
        ("001122 A\n00112233445566 B\n", "list.txt:2:prefix: must be 2 to 12 hex digits, not '00112233445566'"),
        ("001122 A\n001123\n", "list.txt:2:name: is missing"),
        (f"001122 A\n001123 {'x' * 257}\n", "list.txt:2:name: at most 256 characters"),
        (f"{CSV}MA-L,001122,A,x\nMA-L,,B,y\n", "list.txt:3:Assignment: must be 2 to 12 hex digits, not ''"),
        (f'{CSV}MA-L,001122,A,"x\ny"\nMA-L,001123, ,z\n', "list.txt:4:Organization Name: is missing"),
        (f'{CSV}MA-L,001122,A,"x\n', "list.txt:2: is not CSV"),
        (f"{CSV}MA-L\n", "list.txt:2:Assignment: must be 2 to 12 hex digits, not ''"),
        (TEXT.replace("4419B6 ", "44Z9B6 "), "list.txt:6: must be a prefix, (hex) or (base 16), and a name"),
        (f"{TEXT}44-19-B   (hex)\t\tX\n", "list.txt:15:hex: must be three octets such as 00-22-72"),
        (
            TEXT.replace("B00000-BFFFFF", "B00000-CFFFFF"),
            "list.txt:11:base 16: must be the same three octets, or a range in them such as B00000-BFFFFF",
        ),
        (
            TEXT.replace("4419B6 ", "4419B7 "),
            "list.txt:6:base 16: must be the same three octets, or a range in them such as B00000-BFFFFF",
        ),
        (TEXT.replace("(base 16)\t\tIOG", "(base 16)"), "list.txt:11:Organization: is missing"),
    ],
)
def test_a_fault_is_named_and_nothing_is_given(tmp_path: Path, text: str, fault: str) -> None:
    assert faults_of(made(tmp_path, text)) == ["the file has faults, nothing was imported:", fault]


def test_many_faults_are_named_up_to_a_bound(tmp_path: Path) -> None:
    assert len(faults_of(made(tmp_path, "ZZ A\n" * 100))) == 1 + MAX_FAULTS


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    assert "no MAC prefix" in faults_of(made(tmp_path, "# nothing\n"))[0]
    assert "line 2 is not UTF-8" in faults_of(_bytes(tmp_path, b"001122 A\n001123 \xff\n"))[0]
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(MAX_FILE + 1)
    assert "larger than" in faults_of(large)[0]
    assert "no such file" in faults_of(tmp_path / "nowhere")[0].lower()
    assert "is a directory" in faults_of(tmp_path)[0].lower()


def _bytes(folder: Path, raw: bytes) -> Path:
    path = folder / "raw"
    path.write_bytes(raw)
    return path


WORDS = st.sampled_from(["44:19:b6", "4419B61", "70B3D5F2F", "02bf", "ZZ", " ", "\t", ",", '"', "(hex)", "(base 16)"])
LINE = st.lists(WORDS | st.text(max_size=5), max_size=6).map("".join)


@given(st.sampled_from(["", CSV, TEXT]), st.lists(LINE, max_size=6).map("\n".join))
def test_any_file_is_read_or_refused_and_what_was_kept_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, head: str, text: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = made(folder, f"{head}{text}\n".encode("utf-8", "replace").decode())
    try:
        read = read_makers(path)
    except MakerFileError:
        return
    kept = save(folder, "kept", read)
    assert {prefix: maker.name for prefix, maker in look_up([Source("x", (kept,))]).of_prefix.items()} == read.names
    assert read_makers(kept) == Assigned(read.names, 0)
