"""Run the demo or the main job with fake_manage.py instead of manage.py.

python -m tests.fake_copy demo|main_job
"""

import importlib
import sys
from pathlib import Path

from config.local import programs

FAKE = Path(__file__).with_name("fake_manage.py")


def manage(*words: str) -> list[str]:
    return [sys.executable, str(FAKE), *words]


if __name__ == "__main__":
    programs.manage = manage
    sys.exit(importlib.import_module(f"config.local.{sys.argv[1]}").main())
