#!/usr/bin/env bash
# Format, style and static checks. Stops at nothing: all findings of all three are shown, and any makes it exit 1.
#   tests/lint.sh [--build DIR] [--fast] [FILE.cpp]...      --fast leaves clang-tidy out; files: clang-tidy looks at these only
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/dev fast=no files=()
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$2; shift ;;
    --fast) fast=yes ;;
    *) files+=("$1") ;;
  esac
  shift
done
failed=0
part() { # NAME COMMAND...
  local name=$1
  shift
  if "$@"; then printf 'lint: %s: ok\n' "$name"; else printf 'lint: %s: FAILED\n' "$name"; failed=1; fi
}

# Files that git knows or would take up, as far as they exist.
sources() { git ls-files --cached --others --exclude-standard "$@" | sort -u | while read -r file; do [ ! -f "$file" ] || printf '%s\n' "$file"; done; }

format() { sources '*.cpp' '*.hpp' | xargs clang-format --dry-run -Werror; }

static_checks() {
  [ -f "$build/compile_commands.json" ] || cmake -S . -B "$build" -G Ninja >/dev/null
  if [ ${#files[@]} = 0 ]; then
    mapfile -t files < <(sources 'core/*.cpp' 'adapters/*.cpp' 'gateway/*.cpp' 'queue-worker/*.cpp' 'provider/*.cpp' 'watchdog/*.cpp' 'cli/*.cpp')
  fi
  # Its counts of suppressed warnings, which come from system headers, are no news.
  printf '%s\n' "${files[@]}" | xargs -P2 -n1 clang-tidy --quiet -p "$build" 2> >(grep -v 'warnings\? generated\|^$' >&2)
}

part format format
part style python3 -B tests/tidy/tidy.py
[ "$fast" = yes ] || part clang-tidy static_checks
exit "$failed"
