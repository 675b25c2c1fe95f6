"""Holds the options of tasks against their probes, in a process of its own: `python -P -m agent.check`.

Only the probes know their options, and importing them would cost the daemon memory for ever.
"""

import json
import subprocess
import sys
from typing import Any

from agent.config import Config
from agent.errors import ConfigError
from agent.process.start import end, start_python
from wire.text import Text, text_of, within

_SECONDS = 20.0  # well within what a watchdog waits


def check_tasks(config: Config) -> None:
    """Look at every task of a configuration; raises ConfigError with all faults."""
    if not config.tasks:
        return
    wanted = [(f"{config.file}: task {n}: ", task.probe, task.options) for n, task in enumerate(config.tasks, start=1)]
    with start_python("agent.check") as process:
        try:
            out, err = process.communicate(json.dumps(wanted).encode(), timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            raise ConfigError(
                Text(f"{config.file}：任务检查超时", f"{config.file}: the tasks could not be checked in time")
            ) from None
        finally:
            end(process)
    if process.returncode:
        what = err[-500:].decode("utf-8", "replace").strip()
        raise ConfigError(
            Text(f"{config.file}：无法检查任务：{what}", f"{config.file}: the tasks could not be checked: {what}")
        )
    problems = [Text(*map(str, problem)) for problem in json.loads(out)]
    if problems:
        raise ConfigError(*problems)


def _faults(tasks: list[tuple[str, str, dict[str, Any]]]) -> list[Text]:
    from probes.kit import options, registry
    from probes.kit.errors import OptionError, UnknownProbe

    found: list[Text] = []
    for place, name, given in tasks:
        try:
            options.build(registry.load(name), given)
        except UnknownProbe as error:
            found.append(within(f"{place}probe", text_of(error)))
        except OptionError as error:
            found.append(within(f"{place}options", error.text))
        except ImportError as error:
            found.append(
                Text(f"{place}probe: {name} 无法加载：{error}", f"{place}probe: {name} cannot be loaded: {error}")
            )
    return found


if __name__ == "__main__":
    print(json.dumps(_faults(json.load(sys.stdin))))
