"""The command line's door: languages, exit codes, help pages, hand-over to the agent, completion."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edusec.root import COMMANDS
from tests.edusec.run_cli import argv, edusec
from wire.installed import command_for

HEAVY = ("rich", "pydantic", "sqlite_utils", "litestar", "msgspec", "sqlalchemy", "scapy", "pysnmp", "openpyxl")


def test_help_lists_every_command_in_both_languages() -> None:
    english, chinese = edusec("--help"), edusec("--help", "--lang", "zh")
    assert english.returncode == chinese.returncode == 0
    for name, text in COMMANDS.items():
        assert f"  {name} " in english.stdout
        assert text.en.split()[0] in english.stdout
        assert text.zh in chinese.stdout
    assert "\x1b" not in english.stdout


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from edusec.cli import main; main(['--help']); "
        f"print([m for m in sys.modules if m.split('.')[0] in {HEAVY!r} or m.startswith('edusec.commands.')])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_in_both_languages(command: str) -> None:
    for lang, word in (("en", "Usage"), ("zh", "用法")):
        done = edusec(command, "--help", "--lang", lang)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{word}: edusec {command}")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "用法"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "Usage"),
        ({"LANG": "C.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8"}, "用法"),
        ({"LANG": "C.UTF-8", "LC_ALL": "", "LC_MESSAGES": "zh_CN"}, "用法"),
        ({"LANG": "de_DE.UTF-8"}, "Usage"),
    ],
)
def test_the_locale_chooses_the_language(env: dict[str, str], expected: str) -> None:
    assert edusec("--help", env=env).stdout.startswith(expected)


def test_the_flag_wins_over_the_locale_wherever_it_stands() -> None:
    for words in (("--lang", "zh", "scope", "list"), ("scope", "--lang=zh", "list"), ("scope", "list", "--lang", "zh")):
        assert "授权人" in edusec(*words, env={"LANG": "C.UTF-8"}).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lang", "fr", "scope", "list"), "zh"),
        (("scope", "list", "--lang"), "zh"),
        (("scpoe", "list"), "scope"),
        (("scope", "lits"), "list"),
        (("scope", "add"), "VALUE"),
        (("scope", "list", "--nope"), "--nope"),
        (("scope", "remove", "10.0.0.0/8", "surplus"), "surplus"),
        (("asset", "list", "--limit", "many"), "--limit"),
        (("asset", "list", "--limit", "0"), "--limit"),
        (("alert", "list", "--fail-on", "purple"), "purple"),
        ((), "Commands"),
        (("scope",), "Commands"),
    ],
)
def test_wrong_usage_is_2_says_what_and_prints_nothing_on_stdout(words: tuple[str, ...], said: str) -> None:
    done = edusec(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("scope", "add", "--lang", "zh"), "缺少参数"),
        (("scope", "list", "--nope", "--lang", "zh"), "没有选项 --nope"),
        (("scope", "add", "x", "--reason", "y", "--until", "2027-01-01", "--lang", "zh"), "缺少选项"),
        (("scope", "remove", "a", "b", "--lang", "zh"), "多余的参数"),
        (("asset", "list", "--limit", "x", "--lang", "zh"), "的值无效"),
        (("scope", "list", "--scope", "--lang", "zh"), "需要一个值"),
        (("nope", "--lang", "zh"), "没有命令 nope"),
    ],
)
def test_usage_errors_are_said_in_chinese(words: tuple[str, ...], said: str) -> None:
    assert said in edusec(*words).stderr


def test_version_names_the_installed_one() -> None:
    from importlib.metadata import version

    done = edusec("--version")
    assert (done.returncode, done.stdout) == (0, f"edusec {version('edusec')}\n")


def test_without_typer_only_the_agent_works(tmp_path: Path) -> None:
    (tmp_path / "typer").mkdir()
    # Shadows the installed one, the way a base install lacks it.
    (tmp_path / "typer" / "__init__.py").write_text("raise ModuleNotFoundError('no typer here', name='typer')\n")
    env = {"PYTHONPATH": str(tmp_path)}
    scan = edusec("scan", "127.0.0.1", env=env)
    assert scan.returncode == 2
    assert command_for("cli") in scan.stderr
    assert edusec("agent", "status", "--help", env=env).returncode == 0


def test_the_agent_is_handed_over_before_typer_is_imported() -> None:
    code = (
        "import sys\nfrom edusec.cli import main\n"
        "try:\n    main(['agent', 'run', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('typer', 'rich', 'pydantic', 'asyncio')])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str) -> None:
    done = edusec("--show-completion", shell)
    assert done.returncode == 0
    assert "_EDUSEC_COMPLETE" in done.stdout
    assert {"bash": "complete -o default", "zsh": "#compdef edusec", "fish": "complete --command edusec"}[
        shell
    ] in done.stdout


def test_completion_is_installed_for_the_shell_that_is_named(tmp_path: Path) -> None:
    done = edusec("--install-completion", "fish", env={"HOME": str(tmp_path)})
    assert done.returncode == 0
    (file,) = tmp_path.rglob("edusec.fish")
    assert str(file) in done.stdout
    assert edusec("--install-completion", "tcsh", env={"HOME": str(tmp_path)}).returncode == 2


@pytest.mark.parametrize(("words", "found"), [("edusec sc", {"scan", "scope"}), ("edusec asset dr", {"drift"})])
def test_what_is_begun_is_completed(words: str, found: set[str]) -> None:
    env = {"_EDUSEC_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    assert set(edusec(env=env).stdout.split()) == found


def test_completion_knows_commands_and_subcommands() -> None:
    def complete(line: str) -> set[str]:
        env = {"_EDUSEC_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        return set(edusec(env=env).stdout.split())

    assert complete("edusec sc") == {"scan", "scope"}
    assert complete("edusec scope ") >= {"add", "list", "remove"}
    assert complete("edusec agent ") >= {"enroll", "run", "status", "token", "list", "revoke"}
    assert "--authoriser" in complete("edusec scope add --a")


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(argv("scope", "list"), stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 141
    assert "Traceback" not in said


def test_odd_characters_do_not_break_an_ascii_terminal() -> None:
    done = edusec("scope", "list", "--lang", "zh", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0
    assert "\\u" in done.stdout


def test_interrupted_is_130() -> None:
    code = (
        "import sys, os, signal\nimport edusec.commands.scope as scope\n"
        "scope.load_scope = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        "from edusec.cli import main\nsys.exit(main(['scope', 'list']))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGINT
    assert "Traceback" not in done.stderr
