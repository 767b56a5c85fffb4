#!/usr/bin/env bash
# Check once, on a new workstation, that its GPU computes what a CPU computes, and how fast.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

if [[ ${1-} == -h || ${1-} == --help ]]; then
    cat <<'USAGE'
usage: bash scripts/check_gpu.sh [--heads HEAD ...] [--size PIXELS] [--repeats N] [--work-dir DIR] [--anew]

One line a check: driver and build of torch; memory; one training step of each head in fp32, tf32 and bf16, compared with the CPU;
two deterministic trainings and a resumed one, bit for bit; speed of row 10 of table 2 compared with MMSegmentation's own runner
(benchmark records in the work folder). Ends with a verdict. A few minutes; run it again to repeat only what failed.

Runs in the active environment, or in .venv; the environment variable PYTHON names another interpreter.

exit status: 0 no check failed, 1 some failed, 2 no GPU or bad arguments

example:
  bash scripts/check_gpu.sh
USAGE
    exit 0
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib_install.sh
pick_python
exec "$python" tools/analysis_tools/check_gpu.py "$@"
