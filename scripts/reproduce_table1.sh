#!/usr/bin/env bash
# Score the networks trained on HRF vessels on Duke scans as they are, then write table 1 and the pictures of figures 5 and 6.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

usage() {
    cat <<'USAGE'
usage: bash scripts/reproduce_table1.sh [fcn|pspnet|deeplabv3 ...] [--split all|paper] [--amp] [--finetuned CONFIG CHECKPOINT]

Applies configs/table1/<head>.py (default: all three heads) to the Duke scans in data/duke_dme (see scripts/download_data.sh) with
the weights that fine-tuning starts from: checkpoints/hrf/<head>_unet_s5-d16_*.pth (scripts/pretrain_hrf.sh), else the
model zoo's in checkpoints/ (scripts/download_checkpoints.sh). Writes records to work_dirs/table1/<head>, the table to
work_dirs/table1/report, and to work_dirs/table1/figures the validation scan with most fluid as the paper's figures show one:
scan, PSPNet's zero-shot prediction (else that of the first head scored), the fine-tuned one if given, ground truth. Run it again
to go on where it stopped: a head with a record of the same weights, settings and scans is skipped.

  --split NAME     all: the 110 scans of the paper's table (default); paper: the 22 validation scans of its split. The table takes
                   no other; tools/test.py scores any
  --amp            mixed precision: bfloat16 on CPUs and recent GPUs; a head already scored in float32 stays as it is
  --finetuned ...  config and weights of a fine-tuned network, for figure 6; without it the picture shows what figure 5 does

Every scan is scored in 196 windows. Without a GPU all scans take long, and --split paper --amp is a quicker look. How long it took
is in each record (wall_seconds).

Without heads named, those whose weights are missing are left out, and listed at the end. Runs in the active environment, or in
.venv; the environment variable PYTHON names another interpreter.

exit status: 0 all heads scored, 1 some are missing or failed (the rest is reported all the same), 2 bad arguments, data or weights

examples:
  bash scripts/reproduce_table1.sh
  bash scripts/reproduce_table1.sh pspnet --split paper --amp \
      --finetuned configs/table2/10_crop320_wd1e-4.py work_dirs/10_crop320_wd1e-4/iter_400.pth
USAGE
}

refuse() {
    echo "error: $* (see bash scripts/reproduce_table1.sh --help)" >&2
    exit 2
}

# A path is meant from where this script was called; one that is not there, from the repository.
from_here() { if [[ -e $1 ]]; then echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"; else echo "$1"; fi; }

heads=() named='' split=all amp=() finetuned=()
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
        --finetuned)
            [[ -n ${2-} && -n ${3-} ]] || refuse "--finetuned: expected a config and a checkpoint"
            finetuned=("$(from_here "$2")" "$(from_here "$3")")
            shift 2
            ;;
        *) refuse "unknown argument $1; expected fcn, pspnet, deeplabv3 or an option" ;;
    esac
    shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# The odd expansions here and below are for bash 3 and 4.3 (macOS), where an empty array counts as unset.
for file in ${finetuned[@]+"${finetuned[@]}"}; do
    [[ -f $file ]] || refuse "--finetuned: no file $file"
done
case ${finetuned[1]-.pth} in *.pth) ;; *) refuse "--finetuned: ${finetuned[1]}: expected a .pth file" ;; esac
[[ -n $named ]] || heads=(pspnet fcn deeplabv3)
source scripts/lib_install.sh

step() { printf '\n== %s\n' "$*"; }
work=work_dirs/table1

# Prints the files of the first kind of weights that this head has.
weights_of() {
    local found
    found=$(find -L checkpoints/hrf -maxdepth 1 -name "$1_unet_s5-d16_*.pth" 2>/dev/null || true)
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

status=0 scored='' shown='' shown_weights=''
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
    if [[ -z $shown || $head == pspnet ]]; then shown=$head shown_weights=$file; fi
done

if [[ -n $scored ]]; then
    step "write the table"
    "$python" tools/report.py "$work" --out "$work/report"
    step "draw figure 5${finetuned[0]+ and figure 6}"
    case $shown in pspnet) title=PSPNet ;; fcn) title=FCN ;; deeplabv3) title=DeepLabV3 ;; esac
    panels=(--model "$title, zero-shot" "configs/table1/$shown.py" "$shown_weights")
    if [[ -n ${finetuned[0]+set} ]]; then
        panels+=(--model "fine-tuned" "${finetuned[@]}")
    else
        echo "figure 6 also shows a fine-tuned network: add --finetuned CONFIG CHECKPOINT"
    fi
    # All scans of split all include those that a fine-tuned network was trained on; the configs' own split has others.
    [[ $split == all ]] || panels+=(--split "$split")
    "$python" tools/analysis_tools/compare_predictions.py "${panels[@]}" --out "$work/figures" ${amp[@]+"${amp[@]}"} || status=$?
fi
if [[ -n $list ]]; then
    echo "error: left out for want of HRF weights: $list; $how" >&2
    ((status)) || status=1
fi
exit "$status"
