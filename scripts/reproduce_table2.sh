#!/usr/bin/env bash
# Train all eleven rows of table 2, then write the table.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

usage() {
    cat <<'USAGE'
usage: bash scripts/reproduce_table2.sh [--seeds 0 1 2] [--init PATH|URL|none] [--amp [on|auto]] [--jobs N] [--gpus 0,1]

Trains configs/table2/*.py with every seed (default: 0 1 2) into work_dirs/table2 and writes the paper's table with our
scores next to it to work_dirs/table2/report. Needs the Duke data in data/duke_dme (see scripts/download_data.sh) and initial
weights: checkpoints/hrf/pspnet_*_hrf-*.pth (scripts/pretrain_hrf.sh), else the model zoo's (scripts/download_checkpoints.sh);
--init names others, or none to train from scratch. Run it again to go on where it stopped: finished runs are skipped,
unfinished ones resumed.

All options but --work-dir are those of tools/sweep.py. Runs in the active environment, or in .venv; the environment variable
PYTHON names another interpreter.

exit status: 0 all runs done, 1 some failed (the report is written all the same), 2 bad arguments

example:
  bash scripts/reproduce_table2.sh --amp auto --gpus 0,1
USAGE
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
options=() init=''
seeds=(--seeds 0 1 2)
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --seeds | --seeds=*) seeds=() ;;
        # The trainings run in the repository; a path is meant from where this script was called.
        --work-dir | --work-dir=*) echo "error: the runs go to work_dirs/table2; for another folder use tools/sweep.py" >&2; exit 2 ;;
        --init=*) init=1 ;;
        --init)
            init=1
            if [[ -e ${2-} ]]; then
                options+=("$1" "$(cd "$(dirname "$2")" && pwd)/$(basename "$2")")
                shift 2
                continue
            fi
            ;;
    esac
    options+=("$1")
    shift
done

cd "$root"
source scripts/lib_install.sh
source scripts/lib_weights.sh
pick_python
if [[ -z $init ]]; then
    find_weights pspnet
    [[ $weights != checkpoints/hrf/* ]] || seeds+=(--init "$weights") # the model zoo's are those of the configs
fi
status=0
# The odd expansion is for bash 3 and 4.3 (macOS), where an empty array counts as unset.
"$python" tools/sweep.py configs/table2/*.py --work-dir work_dirs/table2 ${seeds[@]+"${seeds[@]}"} ${options[@]+"${options[@]}"} || status=$?
if ((status > 1)); then
    exit "$status" # bad arguments or an interruption: there is nothing new to report
fi
"$python" tools/report.py work_dirs/table2 --out work_dirs/table2/report
exit "$status"
