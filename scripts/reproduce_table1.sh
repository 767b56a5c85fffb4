#!/usr/bin/env bash
# Score the networks trained on HRF vessels on Duke scans as they are, then write table 1.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

usage() {
    cat <<'USAGE'
usage: bash scripts/reproduce_table1.sh [fcn|pspnet|deeplabv3 ...] [--split all|paper] [--amp [on|auto]]

Applies configs/table1/<head>.py (default: all three heads) to the Duke scans in data/duke_dme (see scripts/download_data.sh) with
the weights that fine-tuning starts from: checkpoints/hrf/<head>_*_hrf-*.pth (scripts/pretrain_hrf.sh), else the model zoo's
in checkpoints/ (scripts/download_checkpoints.sh). Writes records to work_dirs/table1/<head>, with pictures of the best, the
median and the worst scan next to them and of all scans in overlays/, and the table to work_dirs/table1/report. Run it again to
go on where it stopped: a head with a record of the same weights, settings and scans is skipped.

  --split NAME     all: the 110 scans of the paper's table (default); paper: the 22 validation scans of its split. The table takes
                   no other; tools/test.py scores any
  --amp            mixed precision (auto: where it is faster); a head already scored in float32 stays as it is

Every scan is scored in 196 windows. Without a GPU all scans take long, and --split paper --amp auto is a quicker look. How long
it took is in each record (wall_seconds).

Without heads named, those whose weights are missing are left out, and listed at the end. Runs in the active environment, or in
.venv; the environment variable PYTHON names another interpreter.

exit status: 0 all heads scored, 1 some are missing or failed (the rest is reported all the same), 2 bad arguments, data or weights

example:
  bash scripts/reproduce_table1.sh pspnet --split paper --amp auto
USAGE
}

refuse() {
    echo "error: $* (see bash scripts/reproduce_table1.sh --help)" >&2
    exit 2
}

heads=() named='' split=all mixed=''
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        fcn | pspnet | deeplabv3) heads+=("$1"); named=1 ;;
        --amp) mixed=on; if [[ ${2-} == on || ${2-} == auto ]]; then mixed=$2; shift; fi ;;
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
[[ -n $named ]] || heads=(pspnet fcn deeplabv3)
source scripts/lib_install.sh
source scripts/lib_weights.sh

step() { printf '\n== %s\n' "$*"; }
work=work_dirs/table1

present=() files=() missing=''
for head in "${heads[@]}"; do
    find_weights "$head"
    if [[ -n $weights ]]; then
        present+=("$head")
        files+=("$weights")
    else
        missing+=" $head"
    fi
done
how="get them with bash scripts/download_checkpoints.sh <head> or bash scripts/pretrain_hrf.sh <head>"
if [[ -n $missing && (-n $named || -z ${present[0]+set}) ]]; then
    refuse "no HRF weights in checkpoints/hrf or checkpoints for:$missing; $how"
fi
pick_python
amp=()
if [[ $mixed == on ]] || { [[ $mixed == auto ]] &&
    "$python" -c 'from octfluid.engine.performance import speed_of_mixed; raise SystemExit(speed_of_mixed() <= 1)'; }; then
    amp=(--amp)
fi

status=0 scored=''
for index in "${!present[@]}"; do
    head=${present[index]} file=${files[index]}
    # The odd expansions here and below are for bash 3 and 4.3 (macOS), where an empty array counts as unset.
    record=$("$python" scripts/find_test_record.py "$work/$head" "configs/table1/$head.py" "$file" --split "$split" \
        ${amp[@]+"${amp[@]}"})
    if [[ -n $record ]]; then
        step "found $record: scored already"
    else
        step "score $file on split $split"
        failed=0
        "$python" tools/test.py "configs/table1/$head.py" "$file" --split "$split" --out "$work/$head" \
            --show-dir "$work/$head/overlays" ${amp[@]+"${amp[@]}"} || failed=$?
        ((failed <= 1)) || exit "$failed" # bad data or weights, or an interruption
        if ((failed)); then status=1; continue; fi
    fi
    scored=1
done

if [[ -n $scored ]]; then
    step "write the table"
    "$python" tools/report.py "$work" --out "$work/report"
fi
if [[ -n $missing ]]; then
    echo "error: left out for want of HRF weights:$missing; $how" >&2
    ((status)) || status=1
fi
exit "$status"
