#!/usr/bin/env python3
"""Style as a test: applies the tables in rules.py to the tree. Each finding prints file:line, what is wrong and what to do.

    tests/tidy/tidy.py [ROOT]
"""
import fnmatch
import os
import pathlib
import re
import sys

import rules

CPP = {".cpp", ".hpp"}
PYTHON_AND_SHELL = {".py", ".sh", ""}
TEXT = CPP | PYTHON_AND_SHELL | {".md", ".txt", ".cmake", ".json", ".yml", ".yaml"}
SKIPPED_FOLDERS = {"build", "__pycache__", "node_modules"}

# Comments, raw strings, strings, numbers (whose ' separate digits), characters.
TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^\s()\\]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\b\d[\w.\']*|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def blank(match):
    text = match.group()
    if text[0].isdigit():
        return text
    blanked = re.sub(r"[^\n]", " ", text)
    return '"' + blanked[2:] + '"' if text[0] in "\"R" and len(text) > 1 else blanked


def asserts(body, helpers):
    return re.search(r"\b(?:EXPECT_|ASSERT_|FAIL\s*\(|ADD_FAILURE|RC_ASSERT|RC_FAIL|rc::)", body) is not None \
        or any(name in helpers for name in re.findall(r"\b(\w+)\s*\(", body))


class Source:
    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.suffix = path.suffix
        self.raw = path.read_text(errors="replace")
        self.lines = self.raw.splitlines()
        self.code = TOKENS.sub(blank, self.raw) if self.suffix in CPP else ""  # without comments and strings
        self.code_lines = self.code.splitlines()
        self.includes = []  # (line, '<' or '"', name)
        for number, (line, code) in enumerate(zip(self.lines, self.code_lines), 1):
            found = INCLUDE.match(line)
            if found and code.lstrip().startswith("#"):
                self.includes.append((number, *found.groups()))

    def inside(self, folders):
        return any(folder == "" or self.path == folder or self.path.startswith(folder + "/") for folder in folders)


class Tidy:
    def __init__(self, root, exceptions):
        self.root = root
        self.exceptions = exceptions
        self.exceptions_used = set()
        self.findings = []
        self.sources = [Source(root, path) for path in sorted(self.text_files())]
        self.code = [s for s in self.sources if s.suffix in CPP]
        self.by_path = {s.path: s for s in self.code}

    def text_files(self):
        for folder, folders, files in os.walk(self.root):
            folders[:] = [f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith(".")]
            for name in files:
                path = pathlib.Path(folder, name)
                if name != ".git" and path.suffix in TEXT and path.is_file() and not path.is_symlink() and path.stat().st_size < 1_000_000:
                    yield path

    def find(self, source, line, rule, what, advice):
        for index, (pattern, name, _reason) in enumerate(self.exceptions):
            if name == rule and fnmatch.fnmatch(source.path, pattern):
                self.exceptions_used.add(index)
                return
        self.findings.append((source.path, line, f"{rule}: {what}: {advice}"))

    def run(self):
        for source in self.code:
            self.check_includes(source)
            self.check_banned(source)
            self.check_functions(source)
            if source.suffix == ".hpp" and not source.raw.startswith("#pragma once\n"):
                self.find(source, 1, "pragma", "no #pragma once in the first line", "add it")
        for source in self.sources:
            self.check_text(source)
        self.check_tests_assert()
        self.check_dead_files()
        self.check_open_headers()
        for index, (pattern, name, _reason) in enumerate(self.exceptions):
            if index not in self.exceptions_used:
                self.findings.append(("tests/tidy/rules.py", 0, f"exception: {pattern} needs none for '{name}' any more: remove it"))
        return sorted(self.findings)

    def resolve(self, name, source):
        """Where an include of ours leads: its path in the tree, or nothing. Only what is no part of the product may name a neighbour."""
        folder = source.path.split("/")[0]
        path = "include/" + name if name.startswith("sluice/") else name
        if path not in self.by_path and folder not in rules.LAYERS:
            path = os.path.join(os.path.dirname(source.path), name)
        return path if path in self.by_path else None

    def check_includes(self, source):
        folder = source.path.split("/")[0]
        allowed = rules.LAYERS.get(folder)
        for line, quote, name in source.includes:
            if quote == "<":
                self.check_angled(source, line, name, folder)
                continue
            target = self.resolve(name, source)
            if not target:
                self.find(source, line, "include", f'"{name}" is no header of ours', "give its path from the root of the tree")
                continue
            target_folder = target.split("/")[0]
            if allowed is not None and target_folder not in allowed:
                self.find(source, line, "layers", f"{folder}/ must not include {target_folder}/", f"it may include {', '.join(allowed)}")
            namespace = rules.ROLE_NAMESPACES.get(target_folder)
            if namespace and folder == "cli" and not re.search(rf"\b{namespace}::", source.code):
                self.find(source, line, "unused role", f"nothing of {namespace}:: is used", "remove the include")

    def check_angled(self, source, line, name, folder):
        if folder == "core" and any(name == n or (n.endswith("/") and name.startswith(n)) for n in rules.NOT_IN_CORE):
            self.find(source, line, "pure core", f"<{name}> in core/", "core computes: have an adapter do it and pass the result in")
        prefixes = [p for p in rules.THIRD_PARTY if name == p or name.startswith((p + "/", p + ".", p + "_"))]
        if prefixes:
            folders = rules.THIRD_PARTY[max(prefixes, key=len)]
            if not source.inside(folders) and folder != "tests":
                self.find(source, line, "third party", f"<{name}> in {folder}/", f"it belongs into {', '.join(folders)}")
        elif "/" in name and not re.match(r"(sys|linux|netinet|arpa|net|asm|bits)/", name):
            self.find(source, line, "third party", f"<{name}> is in no table", "use what is there, or add it to THIRD_PARTY with its folder")

    def check_open_headers(self):
        """A header of an adapter that includes a third-party header stays inside its folder."""
        def third_party(source):
            return next((n for _, q, n in source.includes if q == "<" and any(n.startswith(p) for p in rules.THIRD_PARTY)
                         and not n.startswith(rules.VOCABULARY)), None)

        private = {s.path: third_party(s) for s in self.code if s.path.startswith("adapters/") and s.suffix == ".hpp"
                   and s.path not in rules.OPEN_HEADERS}
        for source in self.code:
            for line, quote, name in source.includes:
                if quote == '"' and private.get(name) and os.path.dirname(source.path) != os.path.dirname(name):
                    self.find(source, line, "third party", f"{name} brings <{private[name]}> along",
                              "include a header of that adapter that does not")

    def check_banned(self, source):
        for rule, pattern, folders, advice in rules.BANNED:
            if not source.inside(folders):
                continue
            for match in re.finditer(pattern, source.code):
                self.find(source, source.code.count("\n", 0, match.start()) + 1, rule, match.group().strip(), advice)

    def check_functions(self, source):
        """A body's braces stand alone on their lines, at the same indent: clang-format sees to it."""
        opened = {}
        for number, line in enumerate(source.code_lines, 1):
            indent = len(line) - len(line.lstrip())
            if line.strip() == "{":
                opened[indent] = number
            elif re.match(r"\s*\}", line) and indent in opened:
                begin = opened.pop(indent)
                length = number - begin + 1
                if length > rules.LINES_MAX["function"]:
                    self.find(source, begin, "long function", f"{length} lines, at most {rules.LINES_MAX['function']}", "split it")

    def check_text(self, source):
        long_file = rules.LINES_MAX["file"]
        if source.suffix in CPP | {".py", ".sh"} and len(source.lines) > long_file:
            self.find(source, len(source.lines), "long file", f"{len(source.lines)} lines, at most {long_file}", "split it by purpose")
        for number, line in enumerate(source.lines, 1):
            if source.suffix in CPP and len(line) > rules.COLUMNS_MAX:
                self.find(source, number, "long line", f"{len(line)} columns, at most {rules.COLUMNS_MAX}", "break it")
            for rule, pattern, advice in rules.NO_WORDS:
                match = re.search(pattern, line)
                if match:
                    self.find(source, number, rule, match.group(), advice)
            if source.suffix == ".py" and source.inside(["tests"]) and re.search(r"\btime\.sleep\(", line):
                self.find(source, number, "sleep", "a sleep in a test", "wait for the condition itself")

    def asserting_functions(self):
        """Names of the functions in tests/ that assert something, themselves or by another of them."""
        functions = []  # (name, body)
        for source in self.code:
            if source.inside(["tests"]):
                for match in re.finditer(r"(?<![\w:])(\w+)\s*\([^{};]*\)[^{};]*\n( *)\{\n(.*?)^\2\}", source.code, re.M | re.S):
                    functions.append((match.group(1), match.group(3)))
        found = set()
        while True:
            more = {name for name, body in functions if name not in found and not name.startswith("TEST") and asserts(body, found)}
            if not more:
                return found
            found |= more

    def check_tests_assert(self):
        helpers = self.asserting_functions()
        for source in self.code:
            if not source.inside(["tests"]) or source.suffix != ".cpp":
                continue
            for match in re.finditer(r"^(?:TYPED_)?TEST(?:_F|_P)?\s*\(([^)]*)\)\s*\n\{\n(.*?)^\}", source.code, re.M | re.S):
                if not asserts(match.group(2), helpers):
                    line = source.code.count("\n", 0, match.start()) + 1
                    self.find(source, line, "asserts nothing", " ".join(match.group(1).split()), "say what must hold")

    def check_dead_files(self):
        included = {self.resolve(name, s) for s in self.code for _, quote, name in s.includes if quote == '"'}
        built = list(self.built_patterns())
        for source in self.code:
            if source.suffix == ".hpp" and source.path not in included:
                self.find(source, 1, "dead file", "nobody includes this header", "use it or remove it")
            if source.suffix == ".cpp" and not any(fnmatch.fnmatch(source.path, p) and source.path.count("/") == p.count("/") for p in built):
                self.find(source, 1, "dead file", "no CMakeLists.txt builds this file", "build it or remove it")

    def built_patterns(self):
        for path in self.root.rglob("CMakeLists.txt"):
            folder = path.parent.relative_to(self.root).as_posix()
            if folder.startswith(("build", ".")) and folder != ".":
                continue
            prefix = "" if folder == "." else folder + "/"
            text = path.read_text()
            for library in re.findall(r"^\s*sluice_library\(\s*\w+\s+([^\s)]+)", text, re.M):
                yield f"{prefix}{library}/*.cpp"
            for kind in re.findall(r"^\s*sluice_tests\(\s*(\w+)", text, re.M):
                yield f"{prefix}{kind}/*_test.cpp"
            for glob in re.findall(r"file\(GLOB\s+\w+\s+(?:CONFIGURE_DEPENDS\s+)?([^)$]+)\)", text):
                yield from (prefix + word for word in glob.split())
            yield from (prefix + name for name in re.findall(r"[\w./-]+\.cpp", text) if "*" not in name)


def main(arguments):
    root = pathlib.Path(arguments[0] if arguments else __file__ + "/../../..").resolve()
    findings = Tidy(root, rules.EXCEPTIONS).run()
    for path, line, text in findings:
        print(f"{path}:{line}: {text}")
    print(f"tidy: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
