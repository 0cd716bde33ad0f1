"""Langfuse: where each canonical column stands in what the API lists beside traffic.

Fields that begin with ``_`` are made by ``records``. ``queueName`` and ``pulledAt`` are a pull's own words.
"""

from ...columns import Column


def _words(*known: str) -> dict[str, str]:
    """Words that Langfuse writes in capitals, in lower case; others stay."""
    return {word: word for word in known}


_PROJECT = Column("project", "projectId", also=("project_id",))
_DATED = [Column("created_at", "createdAt"), Column("updated_at", "updatedAt")]
_OBJECT = [
    Column("trace_id", "_trace", also=("traceId",)),
    Column("span_id", "_observation"),
    Column("session_id", "_session"),
]

SCORE_CONFIG = [
    Column("config_id", "id"),
    Column("name", "name"),
    Column("data_type", "dataType", values=_words("numeric", "boolean", "categorical", "text")),
    Column("min_value", "minValue"),
    Column("max_value", "maxValue"),
    Column("categories", "categories"),
    Column("description", "description"),
    Column("is_archived", "isArchived"),
    _PROJECT,
    *_DATED,
]

DATASET_ITEM = [
    Column("item_id", "id"),
    Column("dataset_id", "datasetId"),
    Column("dataset", "datasetName"),
    Column("input", "input"),
    Column("expected", "expectedOutput"),
    Column("status", "status", values=_words("active", "archived")),
    Column("metadata", "metadata"),
    Column("trace_id", "sourceTraceId"),
    Column("span_id", "sourceObservationId"),
    _PROJECT,
    *_DATED,
]

# An item of an experiment is its root observation; one of a dataset run only names what it links.
EXPERIMENT_ITEM = [
    Column("experiment_id", "experimentId", also=("datasetRunId",)),
    Column("experiment", "experimentName", also=("datasetRunName",)),
    Column("dataset_id", "experimentDatasetId", also=("datasetId",)),
    Column("item_id", "experimentItemId", also=("datasetItemId",)),
    Column("trace_id", "traceId"),
    Column(
        "span_id",
        sql='CASE WHEN llm_blank("experimentItemId") IS NOT NULL THEN llm_blank(id) ELSE llm_blank("observationId") END',
        needs=("experimentItemId", "id", "observationId"),
    ),
    Column("metadata", "experimentItemMetadata", also=("metadata",)),
    Column("started_at", "startTime", also=("createdAt",)),
    _PROJECT,
]

QUEUE_ITEM = [
    Column("item_id", "id"),
    Column("queue_id", "queueId"),
    Column("queue", "queueName"),
    *_OBJECT,
    Column("status", "status", values=_words("pending", "completed")),
    Column("completed_at", "completedAt"),
    _PROJECT,
    *_DATED,
]

COMMENT = [
    Column("comment_id", "id"),
    *_OBJECT,
    Column("prompt_id", "_prompt"),
    Column("text", "content"),
    Column("author", "authorUserId"),
    _PROJECT,
    *_DATED,
]

PRICE = [
    Column("model_id", "id"),
    Column("model_name", "modelName"),
    Column("match_pattern", "matchPattern"),
    Column("unit", "unit", values=_words("tokens", "characters", "milliseconds", "seconds", "images", "requests")),
    Column("input_usd", "inputPrice"),
    Column("output_usd", "outputPrice"),
    Column("prices", "_prices"),
    Column("start_date", "startDate"),
    Column("updated_at", "updatedAt", also=("pulledAt", "createdAt")),
    _PROJECT,
]

PROMPT = [
    Column("name", "name"),
    Column("version", "version"),
    Column("template", "prompt"),
    Column("first_seen", "createdAt"),
    Column("author", "createdBy"),
]
