#!/usr/bin/env bash
# Train one config on several GPUs of this machine, or in several processes without one.
set -euo pipefail

if [[ ${1-} == -h || ${1-} == --help ]]; then
    cat <<'USAGE'
usage: bash tools/dist_train.sh CONFIG N [options of tools/train.py]

Trains CONFIG in N processes, one a GPU, each with the config's batch: the batch of a step is N times as large. On GPUs batch
normalisation takes its statistics over all of them (SyncBN). Runs in the active environment; the environment variable PYTHON
names another interpreter.

exit status: 0 done, 1 a process failed or refused its arguments (its own line is among those of the launcher), 2 CONFIG or N is missing

example:
  bash tools/dist_train.sh configs/table2/10_crop320_wd1e-4.py 4 --amp auto
USAGE
    exit 0
fi
if (($# < 2)) || ! [[ $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "error: '$*': expected CONFIG and a number of processes (see bash ${BASH_SOURCE[0]} --help)" >&2
    exit 2
fi
if [[ ! -f $1 ]]; then
    echo "error: no config file at $1; expected a Python config" >&2
    exit 2
fi
config=$1 processes=$2
shift 2
exec "${PYTHON:-python}" -m torch.distributed.run --standalone --nproc-per-node="$processes" \
    "$(dirname "${BASH_SOURCE[0]}")/train.py" "$config" --launcher pytorch "$@"
