"""The composition root: settings, addresses, processes and ticks.

Everything is put together here and nothing is decided here. ``config`` imports every other
package; no other package imports ``config``.
"""

from config.celery import app as celery_app

__all__ = ["celery_app"]
