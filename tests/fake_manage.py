"""Stand-ins for the management commands that make the demo's content, for tests of the frame.

    python tests/fake_manage.py COMMAND ...

They keep what they did in VAR_DIR/fake.txt. Any other command is the project's own.
"""

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def note(words: list[str]) -> None:
    with (Path(os.environ["VAR_DIR"]) / "fake.txt").open("a") as handle:
        handle.write(" ".join(words) + "\n")


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def serve(port: int) -> None:
    with HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler) as server:
        address = f"http://127.0.0.1:{server.server_port}/soap"
        print(f"switchboard listening on {address}", flush=True)
        server.serve_forever()


def main(words: list[str]) -> None:
    command = words[0]
    if command == "switchboard":
        note(words)
        serve(int(option(words, "--port")))
    elif command in ("switchboard_account", "demo_district", "import_roster"):
        note(words)
        print("done")
    elif command == "set_up_demo":
        note(words)
        print("admin / a-password")
    elif command == "send_demo_message":
        note(words)
        print("message 5a0b1f7e-0000-4000-8000-000000000001")
    elif command == "follow_message":
        print("In-Progress 0 of 2", flush=True)
        if os.environ.get("FAKE_STALL"):
            time.sleep(300)
        print("Sent 2 of 2", flush=True)
    elif command == "show_message":
        print("Total Recipients 2")
    elif command == "write_report":
        Path(option(words, "--out")).write_text("a report\n")
    else:
        os.execv(sys.executable, [sys.executable, str(ROOT / "manage.py"), *words])


if __name__ == "__main__":
    main(sys.argv[1:])
