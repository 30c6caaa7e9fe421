#!/usr/bin/env python
"""Django's entry point; it makes sure that a database is there for the command that runs."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command named on the command line, with the embedded PostgreSQL up while it needs one."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
    if sys.argv[1:2] == ["serve"]:
        _apply_file_defaults()
    from gateway_project import postgres

    with postgres.for_command(sys.argv):
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)


def _apply_file_defaults() -> None:
    from gateway_project.configuration.errors import ConfigurationError
    from gateway_project.server import file_defaults

    try:
        file_defaults.apply(sys.argv)
    except ConfigurationError as error:
        sys.exit(f"manage.py serve: {error}")


if __name__ == "__main__":
    main()
