"""Where alerts and finished reports go: stdout, JSON lines, Slack, PagerDuty, a plain webhook, mail. Credentials come from the environment only."""

from .message import Message
from .routes import Route, RouteError, read_routes, send

__all__ = ["Message", "Route", "RouteError", "read_routes", "send"]
