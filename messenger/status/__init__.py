"""Whether the system works: findings for the System status page and `manage.py doctor`."""
