"""Alert rules: what fires now (``check``), and what would have fired (``backtest``)."""

from .backtest import BacktestResult, backtest
from .check import check
from .deliver import send_report
from .result import CheckResult, Row
from .rules import Rule, names, preset, read_rules

__all__ = ["BacktestResult", "CheckResult", "Row", "Rule", "backtest", "check", "names", "preset", "read_rules", "send_report"]
