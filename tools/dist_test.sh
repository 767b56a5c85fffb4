#!/usr/bin/env bash
# Score one checkpoint on several GPUs of this machine, or in several processes without one.
set -euo pipefail

if [[ ${1-} == -h || ${1-} == --help ]]; then
    cat <<'USAGE'
usage: bash tools/dist_test.sh CONFIG CHECKPOINT N [options of tools/test.py]

Scores CHECKPOINT in N processes, one a GPU, which share the validation scans: each is scored once. Runs in the active
environment; the environment variable PYTHON names another interpreter.

exit status: 0 done, 1 a process failed or refused its arguments (its own line is among those of the launcher), 2 CONFIG, CHECKPOINT or N is missing

example:
  bash tools/dist_test.sh configs/table2/10_crop320_wd1e-4.py work_dirs/10_crop320_wd1e-4/iter_400.pth 4 --amp
USAGE
    exit 0
fi
if (($# < 3)) || ! [[ $3 =~ ^[1-9][0-9]*$ ]]; then
    echo "error: '$*': expected CONFIG, CHECKPOINT and a number of processes (see bash ${BASH_SOURCE[0]} --help)" >&2
    exit 2
fi
for file in "$1" "$2"; do
    if [[ ! -f $file ]]; then
        echo "error: no file at $file; expected a Python config and a checkpoint" >&2
        exit 2
    fi
done
config=$1 checkpoint=$2 processes=$3
shift 3
exec "${PYTHON:-python}" -m torch.distributed.run --standalone --nproc-per-node="$processes" \
    "$(dirname "${BASH_SOURCE[0]}")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
