"""Pages, JSON and probes for operators, in Flask.

The paths are those that monitoring and scripts of the predecessor call
(users-and-ecosystem 1.4); the pages are ours, and readable without JavaScript.
"""

from gateway.web.app import create_app
from gateway.web.guard import Access

__all__ = ["Access", "create_app"]
