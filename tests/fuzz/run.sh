#!/usr/bin/env bash
# Runs the libFuzzer programs of a build, one after the other. Each starts from the project's corpus and from what earlier runs found, and stops at
# the first input that breaks a promise: its file is named, and belongs into tests/fuzz/corpus.
#   tests/fuzz/run.sh BUILD [SECONDS] [NAME]...
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1 seconds=${2:-60}
shift $(($# < 2 ? $# : 2))
[[ $seconds =~ ^[0-9]+$ ]] || { echo "fuzz: SECONDS: \"$seconds\" is not a number" >&2; exit 2; }
names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(cd tests/fuzz && ls -- *_fuzz.cpp | sed 's/_fuzz\.cpp$//')
failed=0
for name in "${names[@]}"; do
  [ -d "tests/fuzz/corpus/$name" ] || { echo "fuzz: there is no target \"$name\"" >&2; exit 2; }
  mkdir -p "$build/corpus/$name" "$build/found"
  echo "fuzz: $name for $seconds s"
  "$build/tests/fuzz/fuzz_${name}_fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="$build/found/$name-" "$build/corpus/$name" "tests/fuzz/corpus/$name" || { echo "fuzz: $name: FAILED"; failed=1; }
done
[ "$failed" = 0 ] && echo "fuzz: no promise was broken"
exit "$failed"
