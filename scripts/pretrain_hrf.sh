#!/usr/bin/env bash
# Train a U-Net on HRF vessels and publish its weights, for fine-tuning on fluid to start from.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

usage() {
    cat <<'USAGE'
usage: bash scripts/pretrain_hrf.sh [fcn|pspnet|deeplabv3] [--iters N] [--amp [on|auto]] [--half] [--name NAME]
                                    [--cfg-options KEY=VALUE ...]

Trains configs/hrf/<head>.py (default: pspnet) in work_dirs/hrf/<head>_<N>i and publishes the weights, with a card that says what
they are, in checkpoints/hrf/. Takes the data from data/hrf, or first converts them from $OCTFLUID_HRF_RAW or data/raw/hrf (see
scripts/download_data.sh). Run it again to go on where it stopped, from the last thousand iterations.

  --iters N        number of iterations (default: 40000; 1000 for machines without a GPU). The learning rate reaches its end at
                   the last of them, so runs of different N have nothing in common
  --amp            mixed precision, in training and in scoring: bfloat16 on CPUs and recent GPUs; auto: where it is faster
  --half           publish in 16 bits: half the size
  --name NAME      the published file's name before the digest (default: <head>_unet_s5-d16_256x256_<length>_hrf)
  --cfg-options    settings of the config to override, as for tools/train.py; last on the line

Runs in the active environment, or in .venv; the environment variable PYTHON names another interpreter.

exit status: 0 published, 1 the training failed, 2 bad arguments, data or weights

example:
  OCTFLUID_HRF_RAW=~/Downloads/hrf bash scripts/pretrain_hrf.sh pspnet --iters 1000 --amp auto
USAGE
}

refuse() {
    echo "error: $* (see bash scripts/pretrain_hrf.sh --help)" >&2
    exit 2
}

head=pspnet iters=40000 name=''
training=() publishing=()
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        fcn | pspnet | deeplabv3) head=$1 ;;
        --amp)
            training+=("$1")
            if [[ ${2-} == on || ${2-} == auto ]]; then training+=("$2"); shift; fi
            ;;
        --half) publishing+=("$1") ;;
        --iters | --name)
            [[ -n ${2-} ]] || refuse "$1: expected a value"
            if [[ $1 == --iters ]]; then iters=$2; else name=$2; publishing+=("$1" "$2"); fi
            shift
            ;;
        --cfg-options)
            shift
            break
            ;;
        *) refuse "unknown argument $1; expected fcn, pspnet, deeplabv3 or an option" ;;
    esac
    shift
done
# As tools/publish_checkpoint.py will want it, but said before the training rather than after it.
[[ -z $name || $name =~ ^[A-Za-z0-9][A-Za-z0-9._+-]*$ ]] || refuse "--name $name: expected letters, digits and . _ + -"
[[ $iters =~ ^[1-9][0-9]*$ ]] || refuse "--iters $iters: expected a number of iterations, at least 1"
((iters >= 500)) || publishing+=(--allow-short) # asked for by --iters

# A path is meant from where this script was called.
raw=${OCTFLUID_HRF_RAW-}
case $raw in '' | /*) ;; *) raw=$PWD/$raw ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib_install.sh
pick_python
work=work_dirs/hrf/${head}_${iters}i
out=checkpoints/hrf

step() { printf '\n== %s\n' "$*"; }

if [[ ! -f data/hrf/index.csv ]]; then
    step "convert the HRF photographs"
    "$python" tools/dataset_converters/hrf.py "${raw:-data/raw/hrf}" --out data/hrf
fi

# The odd expansions below are for bash 3 and 4.3 (macOS), where an empty array counts as unset.
find_record() { find "$work" -maxdepth 1 -name "train_*_${iters}i_seed*.json" -print -quit 2>/dev/null || true; }
if [[ -f $work/iter_$iters.pth && -n $(find_record) ]]; then
    step "found $work/iter_$iters.pth and its record: trained already"
else
    step "train configs/hrf/$head.py for $iters iterations"
    "$python" tools/train.py "configs/hrf/$head.py" --work-dir "$work" --resume ${training[@]+"${training[@]}"} \
        --cfg-options "train_cfg.max_iters=$iters" "train_cfg.val_interval=$iters" "param_scheduler.0.end=$iters" "$@"
fi

step "publish the weights"
"$python" tools/publish_checkpoint.py "$work/iter_$iters.pth" --out "$out" --config "configs/hrf/$head.py" \
    --record "$(find_record)" ${publishing[@]+"${publishing[@]}"}
