#!/usr/bin/env bash
# From a fresh clone to a fine-tuned, scored network in one command.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

usage() {
    cat <<'USAGE'
usage: bash scripts/quickstart.sh

Installs into the active virtual environment, or into .venv, which it makes. Then fine-tunes a small U-Net and scores it: on
the Duke DME scans if they are in data/duke_dme, or as Subject_*.mat in data/raw or in $OCTFLUID_DUKE_RAW; else on generated
phantoms. A few minutes on two CPU cores. Everything it makes is in work_dirs/quickstart and data/.

example:
  OCTFLUID_DUKE_RAW=~/Downloads/2015_BOE_Chiu bash scripts/quickstart.sh
USAGE
}

case ${1-} in
    '') ;;
    -h | --help) usage; exit 0 ;;
    *) echo "error: unknown argument $1 (see scripts/quickstart.sh --help)" >&2; exit 2 ;;
esac

# A path is meant from where this script was called.
raw=${OCTFLUID_DUKE_RAW-}
case $raw in '' | /*) ;; *) raw=$PWD/$raw ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib_install.sh
if [[ -n ${OCTFLUID_NO_INSTALL-} ]]; then find_python; else install_octfluid; fi

step() { printf '\n== %s\n' "$*"; }

if [[ -z $raw && ! -f data/duke_dme/index.csv ]]; then
    found=$(find -L data/raw -name 'Subject_*.mat' -print -quit 2>/dev/null || true)
    raw=${found:+$(dirname "$found")}
fi
if [[ -n $raw ]]; then
    step "convert the Duke scans"
    "$python" tools/dataset_converters/duke_dme.py "$raw" --out data/duke_dme
fi
if [[ -f data/duke_dme/index.csv ]]; then
    name=duke_dme
else
    name=phantom
    step "no Duke scans in data/duke_dme or data/raw: make phantoms"
    "$python" tools/dataset_converters/phantom.py --out data/phantom
fi
config=configs/smoke/$name.py
work=work_dirs/quickstart/$name

step "check the data"
"$python" tools/check_dataset.py "$config"
step "fine-tune a small U-Net ($config)"
"$python" tools/train.py "$config" --work-dir "$work"
step "score the checkpoint and draw overlays"
checkpoint=$(ls -t "$work"/iter_*.pth | head -n 1)
"$python" tools/test.py "$config" "$checkpoint" --out "$work/test" --show-dir "$work/overlays"
step "report"
"$python" tools/report.py "$work" --out "$work/report"
echo
cat "$work/report/recipes.md"

cat <<NEXT

made:
  $checkpoint  the network
  $work/*.json  the run record: settings, versions, scores, counts of every image
  $work/overlays/  what it found (green right, red too much, blue missed)
  $work/report/  the table above

next:
NEXT
if [[ $python == */.venv/bin/python && -z ${VIRTUAL_ENV-} ]]; then
    echo "  source .venv/bin/activate                                             # once, for the commands below"
fi
if [[ $name == phantom ]]; then
    echo "  bash scripts/download_data.sh duke                                    # the real scans; then run this again"
fi
cat <<'NEXT'
  bash scripts/download_checkpoints.sh pspnet                           # weights trained on retinal vessels
  python tools/train.py configs/table2/10_crop320_wd1e-4.py --amp auto  # the paper's best row (--init none: from scratch)
NEXT
if [[ $name == duke_dme ]]; then
    echo "  bash scripts/reproduce_table2.sh --amp auto                           # all of table 2, three seeds"
fi
