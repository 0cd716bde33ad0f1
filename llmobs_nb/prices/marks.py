"""What a span's cost may need care for, as conditions in SQL: the status of a store and the ledger say it in the same terms."""

from ..columns import literal
from ..schema import MODEL_KINDS

GAP_RATE = 0.005
# Why a parent has no cost: what it reports stands below it already.
REPEATS = "usage repeats that of its children"

CALL = f"kind IN ({', '.join(map(literal, MODEL_KINDS))})"
USED = f"{CALL} AND coalesce(tokens_in, tokens_out) IS NOT NULL"
UNPRICED = f"{USED} AND cost_usd IS NULL"
REPEATED = f"price_reason = {literal(REPEATS)}"
NEGATIVE = "cost_recorded_usd < 0"
SILENT_ZERO = f"{USED} AND cost_recorded_usd = 0 AND coalesce(tokens_in, 0) + coalesce(tokens_out, 0) > 0 AND coalesce(cost_list_usd, 1) > 0"
APART = f"cost_recorded_usd IS NOT NULL AND cost_list_usd > 0 AND abs(cost_recorded_usd / cost_list_usd - 1) > {GAP_RATE}"


def flagged(flag: str) -> str:
    """Spans whose counts were flagged when they were read, see ``usage_flag`` of the schema."""
    return f"usage_flag = {literal(flag)}"
