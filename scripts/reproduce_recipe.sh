#!/usr/bin/env bash
# Train our own recipe under every protocol, export the model that is shipped, then write the tables.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

usage() {
    cat <<'USAGE'
usage: bash scripts/reproduce_recipe.sh [compact|columns|across_devices|native] [--seeds 0 1 2] [--steps]
       [--amp [on|auto]] [--jobs N] [--gpus 0,1]

Trains configs/duke_dme/<recipe>.py (default: compact) into work_dirs/recipe: on the paper's split, scored against its ground
truth of 256x256 as the paper does (not across_devices); on both halves used in the literature; with each patient left out in
turn, which compact and columns also score on the graded columns alone; and on all scans. The seeds of the first are also scored
together. From the training on all scans compact is exported, rounded to 16 bits, to work_dirs/recipe/octfluid-compact.onnx, with
a card that gives the scores of the others, and compact and across_devices are scored on data/external if that is there.
Everything is reported in work_dirs/recipe/report. Needs the Duke data in data/duke_dme (see scripts/download_data.sh). Run it
again to go on where it stopped.

  --steps   also compare the ingredients of the recipe on the inner splits of the paper's training set

The other options are those of tools/sweep.py. Runs in the active environment, or in .venv; the environment variable PYTHON
names another interpreter.

exit status: 0 all runs done, 1 some failed (the report is written all the same), 2 bad arguments

example:
  bash scripts/reproduce_recipe.sh compact --seeds 0 1 2 --amp auto --jobs 2
USAGE
}

recipe=compact steps='' amp=()
options=()
seeds=(--seeds 0 1 2)
case ${1-} in
    compact | columns | across_devices | native) recipe=$1; shift ;;
    '' | -*) ;;
    *)
        echo "error: $1: is no recipe; expected compact, columns, across_devices or native (see bash scripts/reproduce_recipe.sh --help)" >&2
        exit 2
        ;;
esac
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --steps) steps=$1; shift; continue ;;
        --amp)
            amp=("$1")
            if [[ ${2-} == on || ${2-} == auto ]]; then amp+=("$2"); fi
            ;;
        --seeds | --seeds=*) seeds=() ;;
        --work-dir | --work-dir=* | --splits | --splits=* | --init | --init=* | --cfg-options | --cfg-options=*)
            echo "error: $1: is not for this script, which chooses it; for other runs use tools/sweep.py" >&2
            exit 2
            ;;
    esac
    options+=("$1")
    shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib_install.sh
pick_python
work=work_dirs/recipe
config=configs/duke_dme/$recipe.py
status=0

# sweep CONFIG... [-- SPLIT...]: remembers that runs failed; stops at bad arguments and interruptions.
sweep() {
    local code=0
    # The odd expansion is for bash 3 and 4.3 (macOS), where an empty array counts as unset.
    "$python" tools/sweep.py "$@" --work-dir "$work" ${seeds[@]+"${seeds[@]}"} ${options[@]+"${options[@]}"} || code=$?
    ((code <= 1)) || exit "$code"
    ((code == 0)) || status=1
}

if [[ -n $steps ]]; then
    sweep configs/duke_dme/steps/*.py configs/duke_dme/compact.py --splits paper-inner1 paper-inner2 paper-inner3
fi
if [[ -f ${config%.py}_paper256.py ]]; then sweep "${config%.py}_paper256.py"; fi
sweep "$config" --splits halves leave-one-subject-out

# step COMMAND...: remembers that it failed, so that the report is written all the same.
step() { "$python" "$@" || status=1; }

# The same weights, scored on the graded columns alone.
for folder in "$work/$recipe"/subject*; do
    if [[ -f ${config%.py}_graded.py ]] && compgen -G "$folder/train_*.json" > /dev/null && [[ ! -d $folder/graded ]]; then
        split=$(basename "$folder")
        step tools/test.py "${config%.py}_graded.py" "$(ls -t "$folder"/iter_*.pth | head -n 1)" \
            --split "${split%%_*}" --out "$folder/graded"
    fi
done

# All seeds of the paper's split together.
members=()
for folder in "$work/${recipe}_paper256"/paper_*; do
    if compgen -G "$folder/train_paper_*.json" > /dev/null; then
        members+=("$(ls -t "$folder"/iter_*.pth | head -n 1)")
    fi
done
if ((${#members[@]} > 1)); then
    step tools/test.py "${config%.py}_paper256.py" "${members[@]}" --out "$work/ensemble"
fi

whole=$work/$recipe/all_seed0
if ! compgen -G "$whole/train_all_*.json" > /dev/null; then
    step tools/train.py "$config" --split all --seed 0 --work-dir "$whole" --resume ${amp[@]+"${amp[@]}"}
fi
if compgen -G "$whole/train_all_*.json" > /dev/null; then
    checkpoint=$(ls -t "$whole"/iter_*.pth | head -n 1)
    if [[ $recipe == compact ]]; then
        step tools/publish_checkpoint.py "$checkpoint" --out "$work/weights" --half \
            --record "$(compgen -G "$whole/train_all_*.json" | head -n 1)"
        for weights in "$work"/weights/fcn_plain-unet_*.pth; do
            step tools/export_onnx.py "$config" "$weights" --half --out "$work/octfluid-compact.onnx" \
                --records "$work/compact" "$work/compact_paper256"
        done
    fi
    if [[ -f configs/external/$recipe.py && -f data/external/index.csv ]]; then
        step tools/test.py "configs/external/$recipe.py" "$checkpoint" --split all --out "$work/external"
    fi
fi
"$python" tools/report.py "$work" --out "$work/report"
exit "$status"
