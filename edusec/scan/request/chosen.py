"""Which flags of `edusec scan` go together: what says nothing together is refused before anything is done."""

from dataclasses import dataclass

from edusec.exits import Stop
from edusec.lang import t


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen on the command line, as far as it bears on other flags.

    `kept` counts the flags that show or take up what the local file has; `asked` says whether anything of a scan of its
    own was named, `of_unit` whether a flag that only `--unit` has, `own_bounds` whether a scope or quiet hours,
    `vantage` whether it was said from where a scan is made that is not imported, `whitelist` whether one was named for
    such a scan.
    """

    kept: int
    asked: bool
    dry_run: bool
    discover: bool
    unit: bool
    vantage: bool
    whitelist: bool
    of_unit: bool
    own_bounds: bool
    run: bool
    takes_run: bool

    def check(self) -> None:
        """Raise Stop, which names the flags, where some of them say nothing together."""
        if self.kept > 1 or (self.kept and self.asked):
            raise Stop(
                t(
                    "--last、--resume、--list、--import 只用一个，且不带目标与扫描选项",
                    "--last, --resume, --list and --import stand alone, without targets and without options for a scan",
                )
            )
        if self.dry_run and (self.kept or self.unit):
            raise Stop(t("--dry-run 须与目标同用，且不带 --unit", "--dry-run goes with targets, and not with --unit"))
        if self.unit and (self.kept or self.own_bounds):
            raise Stop(
                t(
                    "--unit 不与 --last、--resume、--scope、--quiet-hours 同用（代理有自己的）",
                    "--unit excludes --last, --resume, --scope and --quiet-hours: an agent has its own",
                )
            )
        if self.vantage and (self.kept or self.unit):
            raise Stop(
                t(
                    "--vantage 须与目标或 --import 同用（代理的观察位置由采集中心声明）",
                    "--vantage goes with targets or --import; where an agent looks from is declared at the collector",
                )
            )
        if self.whitelist and self.kept:
            raise Stop(
                t(
                    "--whitelist 须与目标或 --import 同用：已保存的扫描有自己的白名单",
                    "--whitelist goes with targets or --import; a scan that is kept has its own",
                )
            )
        if self.of_unit and not self.unit:
            raise Stop(
                t("--operator、--reason、--wait 须与 --unit 同用", "--operator, --reason and --wait go with --unit")
            )
        if self.run and not self.takes_run:
            raise Stop(t("--run 须与 --last 或 --resume 同用", "--run goes with --last or --resume"))
        if self.discover and (self.kept or self.unit):
            raise Stop(
                t(
                    "--discover 不与 --unit、--last、--resume 同用",
                    "--discover excludes --unit, --last and --resume",
                )
            )
