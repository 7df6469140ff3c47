# SPDX-License-Identifier: MIT
"""What is inside archives and documents."""
