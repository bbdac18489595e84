#!/usr/bin/env bash
# The bench as a test: it runs, and no figure is so far from its target that something must be broken (another private operation, a search that reads the whole vault). Whether the targets
# are met is for an idle machine to say: docs/performance.md.
set -eu
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$CMK11_BUILD"/tests/bench/bench --rounds 12 --slice 0.05 --keys 100,10000 --json "$out"
python3 - "$out" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
bad = 0
def verdict(name, good, text):
    global bad
    bad += not good
    print("%s bench/%s: %s" % ("PASS" if good else "FAIL", name, text))
for t in d["throughput"]:
    verdict("%s-%d-%dt" % (t["operation"], t["bits"], t["threads"]), t["ratio"] >= t["target"] * 0.6, "%.3f of raw, target %.2f" % (t["ratio"], t["target"]))
for s in d["scale"]:
    verdict("search-%d" % s["keys"], s["search_label_us"] <= 200 and s["search_label_first_us"] <= 2000, "%.1f us, first %.1f us" % (s["search_label_us"], s["search_label_first_us"]))
    verdict("cold-start-%d" % s["keys"], s["cold_start_ms_beyond_scrypt"] <= 500, "%.1f ms" % s["cold_start_ms_beyond_scrypt"])
sys.exit(bad > 0)
PY
