# SPDX-License-Identifier: MIT
"""What is carried out after the decision; each is imported only when it is needed."""
