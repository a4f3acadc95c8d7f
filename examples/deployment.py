#!/usr/bin/env python3
"""Prints the functions of a stack file, one a line, as what POST /system/functions takes, as `faas-cli deploy` would send it. What it does not read
(environment_file, ${VARIABLES}) is refused, and not left out.

    examples/deployment.py STACK_FILE [--namespace NAME]
"""
import argparse
import json
import pathlib
import sys

import yaml

# Keys of a function in a stack file that go into the request, under which name.
KEYS = {
    "image": "image",
    "fprocess": "envProcess",
    "environment": "envVars",
    "labels": "labels",
    "annotations": "annotations",
    "constraints": "constraints",
    "secrets": "secrets",
    "limits": "limits",
    "requests": "requests",
    "readonly_root_filesystem": "readOnlyRootFilesystem",
}


# Those that have their meaning before a function is deployed, or are read below.
OTHER_KEYS = {"lang", "handler", "build_args", "build_options", "build_secrets", "skip_push", "platforms", "copy", "namespace"}


class Unreadable(Exception):
    """The stack file is not what can be deployed; says where."""


class AsWritten(yaml.SafeLoader):
    """Unquoted numbers and booleans stay the text that they are written as, as in faas-cli, whose fields are texts."""


AsWritten.yaml_implicit_resolvers = {first: [(tag, form) for tag, form in resolvers if tag.rsplit(":", 1)[1] in ("merge", "null")]
                                     for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def as_sent(key, value):
    if key == "readonly_root_filesystem":
        return value.lower() in ("true", "yes", "on")
    if isinstance(value, dict):
        return {name: "" if each is None else each for name, each in value.items()}
    return value


def deployments(stack_file, namespace=""):
    """One request body a function."""
    text = pathlib.Path(stack_file).read_text(encoding="utf-8")
    if "${" in text:
        raise Unreadable("${VARIABLES} are not replaced here: write their values")
    stack = yaml.load(text, AsWritten)
    functions = stack.get("functions") if isinstance(stack, dict) else None
    if not isinstance(functions, dict):
        raise Unreadable("functions: missing, or no mapping")
    made = []
    for name, function in functions.items():
        if not isinstance(function, dict):
            raise Unreadable(f"functions.{name}: no mapping")
        for key in function:
            if key not in KEYS and key not in OTHER_KEYS:
                raise Unreadable(f"functions.{name}.{key}: not read here")
        body = {"service": name, **{KEYS[key]: as_sent(key, value) for key, value in function.items() if key in KEYS and value is not None}}
        space = namespace or function.get("namespace", "")
        if space:
            body["namespace"] = space
        made.append(body)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack_file")
    parser.add_argument("--namespace", default="", help="instead of the stack file's")
    options = parser.parse_args()
    try:
        lines = [json.dumps(body) for body in deployments(options.stack_file, options.namespace)]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, Unreadable) as error:
        sys.exit(f"deployment.py: {options.stack_file}: {error}")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
