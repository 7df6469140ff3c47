# SPDX-License-Identifier: MIT
"""The registry of scanners: name -> module, resolved on use."""

REGISTRY = {"clamd": "qscan.scanners.clamd"}
