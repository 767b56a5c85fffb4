#!/usr/bin/env bash
# Score the networks trained on HRF vessels on Duke scans as they are, then write table 1.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

usage() {
    cat <<'USAGE'
usage: bash scripts/reproduce_table1.sh [fcn|pspnet|deeplabv3 ...] [--split all|paper] [--amp]

Applies configs/table1/<head>.py (default: all three heads) to the Duke scans in data/duke_dme (see scripts/download_data.sh) with
the weights that fine-tuning starts from: checkpoints/hrf/<head>_unet_s5-d16_*.safetensors (scripts/pretrain_hrf.sh), else the
model zoo's in checkpoints/ (scripts/download_checkpoints.sh). Writes records to work_dirs/table1/<head>, with pictures of the best,
the median and the worst scan next to them, and the table to work_dirs/table1/report. Run it again
to go on where it stopped: a head with a record of the same weights, settings and scans is skipped.

  --split NAME     all: the 110 scans of the paper's table (default); paper: the 22 validation scans of its split. The table takes
                   no other; tools/test.py scores any
  --amp            mixed precision: bfloat16 on CPUs and recent GPUs; a head already scored in float32 stays as it is

Every scan is scored in 196 windows. Without a GPU all scans take long, and --split paper --amp is a quicker look. How long it took
is in each record (wall_seconds).

Without heads named, those whose weights are missing are left out, and listed at the end. Runs in the active environment, or in
.venv; the environment variable PYTHON names another interpreter.

exit status: 0 all heads scored, 1 some are missing or failed (the rest is reported all the same), 2 bad arguments, data or weights

examples:
  bash scripts/reproduce_table1.sh
  bash scripts/reproduce_table1.sh pspnet --split paper --amp
USAGE
}

refuse() {
    echo "error: $* (see bash scripts/reproduce_table1.sh --help)" >&2
    exit 2
}

heads=() named='' split=all amp=()
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        fcn | pspnet | deeplabv3) heads+=("$1"); named=1 ;;
        --amp) amp=(--amp) ;;
        --split)
            split=${2-}
            [[ $split == all || $split == paper ]] || refuse "--split '$split': expected all or paper, which table 1 takes"
            shift
            ;;
        *) refuse "unknown argument $1; expected fcn, pspnet, deeplabv3 or an option" ;;
    esac
    shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# The odd expansions here and below are for bash 3 and 4.3 (macOS), where an empty array counts as unset.
[[ -n $named ]] || heads=(pspnet fcn deeplabv3)
source scripts/lib_install.sh

step() { printf '\n== %s\n' "$*"; }
work=work_dirs/table1

# Prints the files of the first kind of weights that this head has.
weights_of() {
    local found
    found=$(find -L checkpoints/hrf -maxdepth 1 -name "$1_unet_s5-d16_*.safetensors" 2>/dev/null || true)
    [[ -n $found ]] || found=$(find -L checkpoints -maxdepth 1 -name "$1_unet_s5-d16_256x256_40k_hrf_*.pth" 2>/dev/null || true)
    echo "$found"
}

present=() weights=() missing=()
for head in "${heads[@]}"; do
    found=$(weights_of "$head")
    if [[ $found == *$'\n'* ]]; then
        refuse "several weights of $head: ${found//$'\n'/, }; expected one, move the others away"
    elif [[ -n $found ]]; then
        present+=("$head")
        weights+=("$found")
    else
        missing+=("$head")
    fi
done
list=${missing[*]+"${missing[*]}"}
how="get them with bash scripts/download_checkpoints.sh <head> or bash scripts/pretrain_hrf.sh <head>"
if [[ -n $list && (-n $named || -z ${present[0]+set}) ]]; then
    refuse "no HRF weights in checkpoints/hrf or checkpoints for: $list; $how"
fi
pick_python

status=0 scored=''
for index in "${!present[@]}"; do
    head=${present[index]} file=${weights[index]}
    record=$("$python" scripts/find_test_record.py "$work/$head" "configs/table1/$head.py" "$file" --split "$split" \
        ${amp[@]+"${amp[@]}"})
    if [[ -n $record ]]; then
        step "found $record: scored already"
    else
        step "score $file on split $split"
        failed=0
        "$python" tools/test.py "configs/table1/$head.py" "$file" --split "$split" --out "$work/$head" \
            ${amp[@]+"${amp[@]}"} || failed=$?
        ((failed <= 1)) || exit "$failed" # bad data or weights, or an interruption
        if ((failed)); then status=1; continue; fi
    fi
    scored=1
done

if [[ -n $scored ]]; then
    step "write the table"
    "$python" tools/report.py "$work" --out "$work/report"
fi
if [[ -n $list ]]; then
    echo "error: left out for want of HRF weights: $list; $how" >&2
    ((status)) || status=1
fi
exit "$status"
