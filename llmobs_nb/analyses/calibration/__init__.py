"""Judge calibration: can this judge be trusted, what is the true pass rate, what is labelled next."""

from .run import calibrate

__all__ = ["calibrate"]
