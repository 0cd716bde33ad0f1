"""For tests of write-back: two recorders on loopback that keep what is posted, as Langfuse and LangSmith keep it, and can fail."""

import base64
import re
import uuid

from doubles.http import Answer, Request

NOW = "2026-11-20T12:00:00Z"
PUBLIC, SECRET, LANGSMITH_KEY = "pk-of-nobody", "hunter2-of-nobody", "hunter3-of-nobody"
PROJECT = "11111111-1111-4111-8111-111111111111"


class Recorder:
    """What both have: who may ask, what was asked, and faults that come once.

    ``fail`` answers the next such request so, and keeps nothing; ``cut`` keeps it and breaks the connection; ``blind`` lets
    reads see nothing, as a server does that takes its time.
    """

    def __init__(self):
        self.requests: list[Request] = []
        self.faults: list[tuple[str, str, Answer | None]] = []
        self.blind = False

    def fail(self, method: str, path: str, status: int, body=None, *, times: int = 1, **headers: str) -> None:
        self.faults += [(method, path, Answer(status, body, headers))] * times

    def cut(self, method: str, path: str) -> None:
        self.faults.append((method, path, None))

    def asked(self, method: str, path: str = "") -> list[Request]:
        return [r for r in self.requests if r.method == method and re.search(path, r.path)]

    @property
    def writes(self) -> list[Request]:
        return [r for r in self.requests if r.method != "GET"]

    def handle(self, request: Request) -> Answer:
        self.requests.append(request)
        if not self.allowed(request):
            return Answer(401, {"message": "no such key"})
        for fault in self.faults:
            method, path, answer = fault
            if method == request.method and re.search(path, request.path):
                self.faults.remove(fault)
                if answer is not None:
                    return answer
                self.answer(request)
                return Answer(200, {"padding": "x" * 100}, cut=True)
        return self.answer(request)

    def answer(self, request: Request) -> Answer:
        for method, path, does in self.routes:
            found = re.fullmatch(path, request.path)
            if found and method == request.method:
                return does(self, request, *found.groups())
        return Answer(404, {"message": f"no route {request.path}"})


class Langfuse(Recorder):
    """A Langfuse project: a score replaces another of its id, name and day; items and datasets are kept by id and name."""

    def __init__(self):
        super().__init__()
        self.scores: dict[tuple, dict] = {}
        self.datasets: dict[str, dict] = {}
        self.items: dict[str, dict] = {}
        self.queues = [{"id": f"q{n}", "name": f"queue {n}"} for n in range(1, 4)]
        self.entries: list[dict] = []

    def env(self, url: str) -> dict[str, str]:
        return {"LANGFUSE_PUBLIC_KEY": PUBLIC, "LANGFUSE_SECRET_KEY": SECRET, "LANGFUSE_BASE_URL": url}

    def allowed(self, request):
        return request.headers.get("authorization") == f"Basic {base64.b64encode(f'{PUBLIC}:{SECRET}'.encode()).decode()}"

    def post_scores(self, request):
        rejected = []
        for one in request.body:
            if one["name"] == "refused":
                rejected.append({"message": f"score {one['name']} breaks its config"})
                continue
            self.scores[one["id"], one["name"], one["timestamp"][:10]] = one
        if rejected:
            return Answer(207, {"accepted": len(request.body) - len(rejected), "rejected": len(rejected), "errors": rejected})
        return Answer(202, {"message": "Accepted"})

    def get_scores(self, request):
        ids = set(request.one("id").split(","))
        found = [] if self.blind else [self.score_row(s) for s in self.scores.values() if s["id"] in ids]
        return Answer(200, {"data": found, "meta": {"limit": int(request.one("limit"))}})

    @staticmethod
    def score_row(one):
        value = bool(one["value"]) if one["dataType"] == "BOOLEAN" else one["value"]
        kept = {k: one.get(k) for k in ("id", "name", "dataType", "timestamp", "comment", "metadata")}
        return kept | {
            "value": value,
            "projectId": "p",
            "source": "API",
            "environment": "default",
            "createdAt": NOW,
            "updatedAt": NOW,
        }

    def get_dataset(self, request, name):
        found = self.datasets.get(name)
        return Answer(200, found) if found else Answer(404, {"message": "Dataset not found"})

    def post_dataset(self, request):
        name = request.body["name"]
        row = {"id": f"d-{name}", "name": name, "metadata": None, "projectId": "p", "createdAt": NOW, "updatedAt": NOW}
        return Answer(200, self.datasets.setdefault(name, row))

    def get_items(self, request):
        rows = [] if self.blind else [i for i in self.items.values() if i["datasetName"] == request.one("datasetName")]
        return self.page(request, rows)

    def post_item(self, request):
        told = request.body
        row = {
            "id": told["id"], "status": "ACTIVE", "input": told.get("input"), "expectedOutput": told.get("expectedOutput"),
            "metadata": told.get("metadata"), "sourceTraceId": told.get("sourceTraceId"),
            "sourceObservationId": told.get("sourceObservationId"), "datasetId": f"d-{told['datasetName']}",
            "datasetName": told["datasetName"], "createdAt": NOW, "updatedAt": NOW, "mediaReferences": [],
        }  # fmt: skip
        self.items[told["id"]] = row
        return Answer(200, row)

    def get_queues(self, request):
        return self.page(request, [q | {"scoreConfigIds": [], "createdAt": NOW, "updatedAt": NOW} for q in self.queues])

    def get_entries(self, request, queue):
        return self.page(request, [e for e in self.entries if e["queueId"] == queue])

    def post_entry(self, request, queue):
        row = {"id": uuid.uuid4().hex, "queueId": queue, "status": "PENDING", "createdAt": NOW, "updatedAt": NOW} | request.body
        self.entries.append(row)
        return Answer(200, row)

    @staticmethod
    def page(request, rows):
        page, limit = int(request.one("page")), int(request.one("limit"))
        meta = {"page": page, "limit": limit, "totalItems": len(rows), "totalPages": -(-len(rows) // limit)}
        return Answer(200, {"data": rows[(page - 1) * limit : page * limit], "meta": meta})

    routes = (
        ("POST", "/api/public/scores", post_scores),
        ("GET", "/api/public/v3/scores", get_scores),
        ("GET", "/api/public/v2/datasets/([^/]+)", get_dataset),
        ("POST", "/api/public/v2/datasets", post_dataset),
        ("GET", "/api/public/dataset-items", get_items),
        ("POST", "/api/public/dataset-items", post_item),
        ("GET", "/api/public/annotation-queues", get_queues),
        ("GET", "/api/public/annotation-queues/([^/]+)/items", get_entries),
        ("POST", "/api/public/annotation-queues/([^/]+)/items", post_entry),
    )


class LangSmith(Recorder):
    """A LangSmith workspace. ``replaces``: whether feedback under a known id replaces it or is a conflict (409)."""

    def __init__(self):
        super().__init__()
        self.replaces = True
        self.feedback: list[dict] = []
        self.datasets: dict[str, dict] = {}
        self.examples: dict[str, dict] = {}
        self.projects = [{"id": PROJECT, "name": "shop"}]
        self.queues = [{"id": str(uuid.UUID(int=n)), "name": f"queue {n}"} for n in range(1, 4)]
        self.entries: list[dict] = []

    def env(self, url: str) -> dict[str, str]:
        return {"LANGSMITH_API_KEY": LANGSMITH_KEY, "LANGSMITH_ENDPOINT": f"{url}/api/v1"}

    def allowed(self, request):
        return request.headers.get("x-api-key") == LANGSMITH_KEY

    @property
    def extended(self) -> list[Request]:
        """The requests by which LangSmith would keep a trace longer: those that do not forbid it."""
        changes = [r for r in self.writes if "/feedback" in r.path]
        queued = [r for r in self.writes if "annotation-queues" in r.path]
        return [r for r in changes if r.method != "POST" or r.body.get("extend_trace_retention") is not False] + [
            r for r in queued if r.query.get("extend_trace_retention") != ["false"]
        ]

    def post_feedback(self, request):
        if request.body["key"] == "refused":
            return Answer(422, {"detail": [{"loc": ["key"], "msg": "feedback config forbids it"}]})
        known = [f for f in self.feedback if f["id"] == request.body["id"]]
        if known and not self.replaces:
            return Answer(409, {"detail": "Feedback exists"})
        self.feedback = [f for f in self.feedback if f not in known] + [request.body]
        return Answer(200, request.body)

    def get_feedback(self, request):
        runs = set(request.query["run"])
        return self.page(request, [] if self.blind else [f for f in self.feedback if f["run_id"] in runs])

    def one_feedback(self, request, one):
        return Answer(200, next(f for f in self.feedback if f["id"] == one))

    def get_datasets(self, request):
        return Answer(200, [d for d in self.datasets.values() if d["name"] == request.one("name")])

    def post_dataset(self, request):
        name = request.body["name"]
        if name in self.datasets:
            return Answer(409, {"detail": "Dataset with this name already exists."})
        self.datasets[name] = {"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), **request.body}
        return Answer(200, self.datasets[name])

    def get_examples(self, request):
        ids = set(request.query["id"])
        return self.page(request, [] if self.blind else [e for e in self.examples.values() if e["id"] in ids])

    def post_example(self, request):
        told = request.body
        if told["id"] in self.examples:
            return Answer(409, {"detail": "Example exists"})
        self.examples[told["id"]] = told | {"metadata": told.get("metadata", {}) | {"dataset_split": ["base"]}}
        return Answer(200, told)

    def patch_example(self, request, one):
        self.examples[one] |= request.body
        return Answer(200, self.examples[one])

    def get_projects(self, request):
        return Answer(200, [p for p in self.projects if p["name"] == request.one("name")])

    def get_queues(self, request):
        return self.page(request, self.queues)

    def get_entries(self, request, queue):
        rows = [e for e in self.entries if e["queue_id"] == queue and e["section"] == request.one("status")]
        at = int(request.one("cursor", "0"))
        rest = rows[at : at + int(request.one("page_size"))]
        more = {"next_cursor": str(at + len(rest))} if at + len(rest) < len(rows) else {}
        return Answer(200, {"items": rest, **more})

    def post_entries(self, request, queue):
        new = [{"id": uuid.uuid4().hex, "queue_id": queue, "section": "needs_my_review", **i} for i in request.body["items"]]
        self.entries += new
        return Answer(200, {"items": new})

    @staticmethod
    def page(request, rows):
        at = int(request.one("offset"))
        return Answer(200, rows[at : at + int(request.one("limit"))])

    routes = (
        ("POST", "/api/v1/feedback", post_feedback),
        ("GET", "/api/v1/feedback", get_feedback),
        ("GET", "/api/v1/feedback/([^/]+)", one_feedback),
        ("GET", "/api/v1/datasets", get_datasets),
        ("POST", "/api/v1/datasets", post_dataset),
        ("GET", "/api/v1/examples", get_examples),
        ("POST", "/api/v1/examples", post_example),
        ("PATCH", "/api/v1/examples/([^/]+)", patch_example),
        ("GET", "/api/v1/sessions", get_projects),
        ("GET", "/api/v1/annotation-queues", get_queues),
        ("GET", "/api/v1/platform/annotation-queues/([^/]+)/items", get_entries),
        ("POST", "/api/v1/platform/annotation-queues/([^/]+)/items", post_entries),
    )
