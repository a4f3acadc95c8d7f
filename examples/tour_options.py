"""With which options `sluice up` runs, as far as they decide what the tour can show. Read from run/up.conf in its state folder."""
import ipaddress
import pathlib
import re

UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def items(text):
    """Of a list: separated by ;, where \\; is one of an item's own."""
    return [item.replace("\\;", ";").strip() for item in re.split(r"(?<!\\);", text) if item.strip()]


class TourOptions:
    def __init__(self, text):
        pairs = (line.split(" = ", 1) for line in text.splitlines() if " = " in line)
        self.all = {key: value.strip('"') for key, value in pairs}

    @classmethod
    def of_state(cls, state):
        return cls((pathlib.Path(state) / "run/up.conf").read_text(encoding="utf-8"))

    def of_role(self, role, key, default):
        """What the role was given; `default` where neither `up` nor role_option says."""
        value = self.all.get(key, default)
        for entry in items(self.all.get("role_option", "")):
            name, _, given = entry.partition("=")
            if name.replace("-", "_") == f"{role.replace('-', '_')}.{key}":
                value = given
        return value

    def bytes_max(self, key, default="0"):
        number, unit = re.fullmatch(r"(\d+)(\w*)", self.of_role("gateway", key, default)).groups()
        return int(number) * UNITS[unit]

    def too_large(self, file, key, default="0"):
        """Why a body of this file's content is refused; empty: it is not."""
        size, bound = file.stat().st_size, self.bytes_max(key, default)
        return f"{key} is {bound}, and {file.name} has {size} bytes" if size > bound else ""

    def callback_refused(self, host, port):
        """Why no callback goes to this special address; empty: it goes there."""
        for role in ("gateway", "queue-worker"):
            if not any(covers(entry, host, port) for entry in items(self.of_role(role, "callback_allow", ""))):
                return f"callback_allow of the {role} does not list {host}"
        return ""


def covers(entry, host, port):
    if entry in (host, f"{host}:{port}"):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry)
    except ValueError:  # a host name, or an address of another port
        return False
