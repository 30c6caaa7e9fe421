"""The processes of one gateway: the parent that `manage.py serve` is, its workers, and how they talk HTTP."""
