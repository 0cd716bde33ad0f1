"""Judges: models that score an answer by a rubric. Prompts, strict replies, a cache, and a client for OpenAI-compatible endpoints."""

from .client import OpenAIJudge
from .prompts import Prompt
from .replies import Judgement
from .rubrics import RUBRICS, rubric

__all__ = ["RUBRICS", "Judgement", "OpenAIJudge", "Prompt", "rubric"]
