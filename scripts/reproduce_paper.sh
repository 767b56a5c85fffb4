#!/usr/bin/env bash
# Reproduce the paper: train on HRF vessels, then table 1, table 2, the ablations, and one report of all of it.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

usage() {
    cat <<'USAGE'
usage: bash scripts/reproduce_paper.sh [--gpu] [--minutes N | --iters N] [--seeds 0 1 2]

Trains the three networks on HRF vessels (scripts/pretrain_hrf.sh), scores them on Duke scans as they are
(scripts/reproduce_table1.sh), fine-tunes the rows of table 2 (scripts/reproduce_table2.sh), row 10 from random weights too, the
ablations, and with the first seed row 10 with each patient left out and rows 2, 6, 9 and 10 for their validation curves, all in
the faster of full and mixed precision. Writes one report to work_dirs/paper/report, and figures 5 and 6 of the paper to
work_dirs/paper/figures. Needs the Duke data in data/duke_dme and the HRF data in data/hrf (see scripts/download_data.sh).
Networks whose weights are in checkpoints/hrf or checkpoints are not trained on HRF. Run it again to go on where it stopped.

  --gpu         several processes share the GPU: three trainings on HRF, four of the others
  --minutes N   train each network on HRF for as many iterations as fit into N minutes (default: 40000 iterations). Twenty
                iterations are timed for it; the scoring of the photographs after the training comes on top
  --iters N     train each network on HRF for N iterations
  --seeds ...   of table 2 and the ablations (default: 0 1 2)

Measured on two cores of a CPU, in bfloat16 (wall_seconds of the records in docs/results/records):
  HRF, PSPNet, 1000 iterations and scoring   79 min
  table 1, PSPNet, 22 scans of 110           13 min
  table 2, a run of 400 iterations           14 to 15 min; table 2 has 33 runs, the rest 38
                                             (76 min in float32 on another CPU)
Not measured on a GPU.

Runs in the active environment, or in .venv; the environment variable PYTHON names another interpreter.

exit status: 0 all done, 1 a training on HRF failed, or other runs did (the report is written all the same), 2 bad arguments, data or weights

example:
  bash scripts/reproduce_paper.sh --gpu --minutes 60
USAGE
}

refuse() {
    echo "error: $* (see bash scripts/reproduce_paper.sh --help)" >&2
    exit 2
}

together=1 sharing=() minutes='' iters=40000 seeds=(0 1 2)
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --gpu) together=3 sharing=(--jobs 4 --gpus 0) ;;
        --minutes | --iters)
            [[ ${2-} =~ ^[1-9][0-9]*$ ]] || refuse "$1 ${2-}: expected a whole number, at least 1"
            if [[ $1 == --minutes ]]; then minutes=$2; else iters=$2; fi
            shift
            ;;
        --seeds)
            seeds=()
            while [[ ${2-} =~ ^[0-9]+$ ]]; do seeds+=("$2"); shift; done
            [[ -n ${seeds[0]+set} ]] || refuse "--seeds: expected numbers"
            ;;
        *) refuse "unknown argument $1" ;;
    esac
    shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib_install.sh
source scripts/lib_weights.sh
pick_python
export PYTHON=$python
[[ -f data/duke_dme/index.csv ]] || refuse "no scans in data/duke_dme; get them with bash scripts/download_data.sh duke"

status=0
# step COMMAND...: remembers that some runs failed; stops at bad arguments and interruptions.
step() {
    local code=0
    printf '\n=== %s\n' "$*"
    "$@" || code=$?
    ((code <= 1)) || exit "$code"
    ((code == 0)) || status=1
}

todo=()
for head in pspnet fcn deeplabv3; do
    find_weights "$head"
    if [[ -n $weights ]]; then printf '\n=== found %s\n' "$weights"; else todo+=("$head"); fi
done
if [[ -n ${todo[0]+set} ]]; then
    # Before several processes would do it at once.
    [[ -f data/hrf/index.csv ]] || step "$python" tools/dataset_converters/hrf.py "${OCTFLUID_HRF_RAW:-data/raw/hrf}" --out data/hrf
    if [[ -n $minutes ]]; then
        chosen=work_dirs/paper/iterations_in_${minutes}_minutes # the same when this is run again
        if [[ ! -s $chosen ]]; then
            step "$python" tools/train.py configs/hrf/pspnet.py --work-dir work_dirs/paper/speed --amp auto --cfg-options \
                train_cfg.max_iters=20 val_dataloader=None val_evaluator=None val_cfg=None test_cfg=None
            "$python" -c 'import glob, json, sys
(record,) = glob.glob("work_dirs/paper/speed/train_*.json")
fitting = 60 * int(sys.argv[1]) / (json.load(open(record))["wall_seconds"] / 20)
print(min(40_000, max(100, int(fitting) // 100 * 100)))' "$minutes" > "$chosen"
        fi
        iters=$(cat "$chosen")
    fi
    # With xargs Ctrl-C reaches all trainings.
    xargs -P "$together" -n 1 bash scripts/pretrain_hrf.sh --iters "$iters" --half --amp auto <<< "${todo[*]}" || exit 1
fi

step bash scripts/reproduce_table1.sh --amp auto
# The odd expansions are for bash 3 and 4.3 (macOS), where an empty array counts as unset.
step bash scripts/reproduce_table2.sh --seeds "${seeds[@]}" --amp auto ${sharing[@]+"${sharing[@]}"}
row10=configs/table2/10_crop320_wd1e-4.py
step "$python" tools/sweep.py $row10 --work-dir work_dirs/table2 --seeds "${seeds[@]}" --amp auto --init none ${sharing[@]+"${sharing[@]}"}
for head in pspnet fcn deeplabv3; do
    configs=()
    for config in configs/ablations/*.py; do
        case $config in */fcn_head.py) of=fcn ;; */deeplabv3_head.py) of=deeplabv3 ;; *) of=pspnet ;; esac
        [[ $of != "$head" ]] || configs+=("$config")
    done
    find_weights "$head"
    init=()
    [[ $weights != checkpoints/hrf/* ]] || init=(--init "$weights")
    step "$python" tools/sweep.py "${configs[@]}" --work-dir work_dirs/ablations --seeds "${seeds[@]}" --amp auto \
        ${init[@]+"${init[@]}"} ${sharing[@]+"${sharing[@]}"}
    [[ $head != pspnet ]] || vessels=(${init[@]+"${init[@]}"})
done
step "$python" tools/sweep.py $row10 --splits leave-one-subject-out --work-dir work_dirs/table2 --seeds "${seeds[0]}" --amp auto \
    ${vessels[@]+"${vessels[@]}"} ${sharing[@]+"${sharing[@]}"}
# The validation curves: scored on scans of the training set.
step "$python" tools/sweep.py configs/table2/0[269]_*.py $row10 --splits paper-inner1 --work-dir work_dirs/curves \
    --seeds "${seeds[0]}" --amp auto ${vessels[@]+"${vessels[@]}"} ${sharing[@]+"${sharing[@]}"} --cfg-options train_cfg.val_interval=50
# Figures 5 and 6 of the paper: the scan, zero-shot and fine-tuned, of each head.
figures=work_dirs/paper/figures
for head in pspnet fcn deeplabv3; do
    find_weights "$head"
    config=configs/ablations/${head}_head.py of=ablations
    [[ $head != pspnet ]] || config=$row10 of=table2
    run=work_dirs/$of/$(basename "$config" .py)/paper_$(basename "$weights" .pth)_seed${seeds[0]}
    compgen -G "$run/train_paper_*.json" > /dev/null || continue # it failed
    step "$python" tools/test.py "$config" "$(ls -t "$run"/iter_*.pth | head -n 1)" --out $figures/$head --show-dir $figures/$head
    for scan in s01_z30 s04_z28; do
        [[ -f work_dirs/table1/$head/overlays/$scan.png && -f $figures/$head/$scan.png ]] || continue
        step "$python" tools/analysis_tools/side_by_side.py $scan data/duke_dme/paper_256/images \
            work_dirs/table1/$head/overlays $figures/$head --out $figures/${head}_$scan.png
    done
done
folders=()
for name in hrf table1 table2 ablations curves; do
    [[ ! -d work_dirs/$name ]] || folders+=("work_dirs/$name")
done
step "$python" tools/report.py "${folders[@]}" --out work_dirs/paper/report
exit "$status"
