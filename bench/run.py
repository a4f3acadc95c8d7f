#!/usr/bin/env python3
"""./x bench NAME [ARG]...: runs bench/NAME.py on a build."""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
BENCHES = {"async": "throughput, latency, memory and CPU of asynchronous calls, beside the limit of the machine"}


def usage():
    lines = [f"  {name:10} {what}" for name, what in BENCHES.items()]
    head = "Usage: ./x bench NAME [ARG]...   (--help: its arguments; --json FILE: every bench writes its figures there)"
    return "\n".join([head] + lines)


def main():
    arguments, build = sys.argv[1:], "build/release"
    if arguments[:1] == ["--build"] and len(arguments) > 1:
        build, arguments = arguments[1], arguments[2:]
    if not arguments or arguments[0] not in BENCHES:
        print(usage(), file=sys.stderr)
        return 2
    script = os.path.join(FOLDER, arguments[0] + ".py")
    binary = os.path.abspath(os.path.join(build, "sluice"))
    os.execv(sys.executable, [sys.executable, script, "--binary", binary] + arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
