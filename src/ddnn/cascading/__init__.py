"""Calibrate a cascade on held-out images, and test it against every fixed depth."""

from ddnn.cascading.calibrate import Calibrated, cascade
from ddnn.cascading.report import Report

__all__ = ["Calibrated", "Report", "cascade"]
