"""What a pull brings besides traffic: how a source asks for judgements, what it counts and charges, what it no longer has."""

from .declare import Table, declared

_OWNER = (("source", "text", "as in spans", "", False), ("project", "text", "as in spans", "", False))
_DATED = (("created_at", "timestamp", "when it was made", "UTC"), ("updated_at", "timestamp", "when it last changed", "UTC"))

SCORE_CONFIGS = Table(
    "score_configs",
    "score config: what the scores of a name may be",
    declared(
        ("config_id", "text", "unique within source and project", "", False),
        ("name", "text", "name of the scores it is for", "", False),
        ("data_type", "text", "numeric, boolean, categorical or text"),
        ("min_value", "double", "lowest value allowed"),
        ("max_value", "double", "highest value allowed"),
        ("categories", "json", "list of {value, label} as JSON text"),
        ("lower_is_better", "bool", "whether less is better"),
        ("description", "text", "what raters are told"),
        ("is_archived", "bool", "no longer in use"),
        *_OWNER,
        *_DATED,
    ),
    identity=("source", "project", "config_id"),
)

DATASET_ITEMS = Table(
    "dataset_items",
    "item (example) of a dataset",
    declared(
        ("item_id", "text", "unique within source and project", "", False),
        ("dataset_id", "text", "the dataset it belongs to"),
        ("dataset", "text", "name of the dataset"),
        ("input", "text", "what goes in (JSON text or plain)"),
        ("expected", "text", "the right answer (JSON text or plain)"),
        ("split", "text", "part of the dataset, such as train or test; several joined by commas"),
        ("status", "text", "active or archived"),
        ("metadata", "map", "every other key"),
        ("trace_id", "text", "the trace it was made from"),
        ("span_id", "text", "the span it was made from"),
        *_OWNER,
        *_DATED,
    ),
    identity=("source", "project", "item_id"),
)

EXPERIMENT_ITEMS = Table(
    "experiment_items",
    "trace in which an experiment ran a dataset item",
    declared(
        ("experiment_id", "text", "the experiment (dataset run)", "", False),
        ("experiment", "text", "name of the experiment"),
        ("dataset_id", "text", "the dataset it ran on"),
        ("item_id", "text", "as in dataset_items", "", False),
        ("trace_id", "text", "the trace of the run", "", False),
        ("span_id", "text", "the span of the run; null where it is the whole trace"),
        ("metadata", "map", "what was noted about the item"),
        ("started_at", "timestamp", "when the run began, or was linked to the item", "UTC"),
        *_OWNER,
    ),
    identity=("source", "project", "experiment_id", "item_id", "trace_id"),
    newest=("started_at",),
)

QUEUE_ITEMS = Table(
    "queue_items",
    "trace, span or session in an annotation queue",
    declared(
        ("item_id", "text", "unique within its queue", "", False),
        ("queue_id", "text", "the queue", "", False),
        ("queue", "text", "name of the queue"),
        ("trace_id", "text", "what is to be judged; null where the source names only the span or session"),
        ("span_id", "text", "null where the whole trace or session is to be judged"),
        ("session_id", "text", "set where a session is to be judged"),
        ("status", "text", "pending or completed"),
        ("completed_at", "timestamp", "when it was judged", "UTC"),
        *_OWNER,
        *_DATED,
    ),
    identity=("source", "project", "queue_id", "item_id"),
)

COMMENTS = Table(
    "comments",
    "comment that somebody wrote in the source",
    declared(
        ("comment_id", "text", "unique within source and project", "", False),
        ("trace_id", "text", "set where it is about a trace"),
        ("span_id", "text", "set where it is about a span"),
        ("session_id", "text", "set where it is about a session"),
        ("prompt_id", "text", "set where it is about a prompt: the source's id of that version"),
        ("text", "text", "what it says"),
        ("author", "text", "who wrote it"),
        *_OWNER,
        *_DATED,
    ),
    identity=("source", "project", "comment_id"),
)

SOURCE_PRICES = Table(
    "source_prices",
    "price that a source charges a model with",
    declared(
        ("model_id", "text", "the source's id of the price", "", False),
        ("model_name", "text", "what the source calls the model"),
        ("match_pattern", "text", "regular expression of the model names it is for"),
        ("unit", "text", "what a price is for one of: tokens, characters, requests, …"),
        ("input_usd", "double", "price of the input", "USD per unit"),
        ("output_usd", "double", "price of the output", "USD per unit"),
        ("prices", "json", "every price the source gives, tiers and parts included, as JSON text"),
        ("start_date", "timestamp", "valid from", "UTC"),
        ("updated_at", "timestamp", "when it last changed, else when it was pulled or made", "UTC"),
        *_OWNER,
    ),
    identity=("source", "project", "model_id"),
)

SOURCE_TOTALS = Table(
    "source_totals",
    "project, kind of record and UTC day, as the source itself counts",
    declared(
        ("entity", "text", "what is counted: the name of one of these tables", "", False),
        ("day", "date", "UTC date: of start_time for spans, of created_at for all else", "", False),
        ("rows", "int", "how many the source has"),
        ("tokens_in", "int", "input tokens of the day by the source", "tokens"),
        ("tokens_out", "int", "output tokens of the day by the source", "tokens"),
        ("cost_usd", "double", "cost of the day by the source", "USD"),
        ("complete", "bool", "whether the whole day lay inside what was pulled"),
        ("checked_at", "timestamp", "when the source was asked", "UTC"),
        *_OWNER,
    ),
    identity=("source", "project", "entity", "day"),
    newest=("checked_at",),
)

VANISHED = Table(
    "vanished",
    "stored row that the source no longer had when all of it was compared",
    declared(
        ("entity", "text", "the table of the row", "", False),
        ("trace_id", "text", "the trace of the row"),
        ("row_id", "text", "its span_id or score_id", "", False),
        ("gone", "bool", "false once it was found again"),
        ("noticed_at", "timestamp", "when that was noticed", "UTC"),
        *_OWNER,
    ),
    identity=("source", "project", "entity", "trace_id", "row_id"),
    newest=("noticed_at",),
)

PULLED = (SCORE_CONFIGS, DATASET_ITEMS, EXPERIMENT_ITEMS, QUEUE_ITEMS, COMMENTS, SOURCE_PRICES, SOURCE_TOTALS, VANISHED)
