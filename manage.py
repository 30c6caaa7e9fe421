#!/usr/bin/env python
"""Django's entry point; it makes sure that a database is there for the command that runs."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command named on the command line, with the embedded PostgreSQL up while it needs one."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
    from gateway_project import postgres

    with postgres.for_command(sys.argv):
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
