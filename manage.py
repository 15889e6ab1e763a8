#!/usr/bin/env python
"""Commands of the project; `manage.py help` lists them."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "goldenproject.settings.dev")
    from django.core.management import execute_from_command_line

    from goldenproject.kit.errors import GoldenError

    try:
        execute_from_command_line(sys.argv)
    except GoldenError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
