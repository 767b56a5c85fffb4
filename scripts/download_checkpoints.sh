#!/usr/bin/env bash
# Fetch a U-Net trained on HRF vessels from the OpenMMLab model zoo into checkpoints/.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/scripts/lib_download.sh"
source "$root/scripts/lib_weights.sh"

usage() {
    cat << 'TEXT'
usage: bash scripts/download_checkpoints.sh [fcn|pspnet|deeplabv3]

Fetches the HRF checkpoint with this decode head (default: pspnet; about 116 MB) to checkpoints/. An interrupted transfer is
resumed; the file gets its name only if its SHA-256 begins with the eight digits that its name ends in.
Offline: fetch the file elsewhere, put it into checkpoints/ under its own name, and run this to verify it.
OCTFLUID_CHECKPOINT_URL replaces the address of the folder that holds <model>/<file>, for mirrors.

example:
  bash scripts/download_checkpoints.sh pspnet
TEXT
}

head=${1-pspnet}
case $head in
    -h | --help)
        usage
        exit 0
        ;;
    fcn) version=20201223_173724-d89cf1ed ;;
    pspnet) version=20201227_181818-fdb7e29b ;;
    deeplabv3) version=20201226_094047-3a1fdf85 ;;
    *) usage_error "unknown head '$head'; expected fcn, pspnet or deeplabv3" ;;
esac
(($# <= 1)) || usage_error 'expected one head'

# verify_digest DIGITS FILE: the SHA-256 of FILE begins with DIGITS.
verify_digest() {
    local digest
    digest=$(digest_of "$2")
    [[ $digest == "$1"* ]] || {
        echo "$2: SHA-256 begins with ${digest:0:8}, expected $1" >&2
        return 1
    }
}

cd "$root"
model=${head}_unet_s5-d16_256x256_40k_hrf
file=${model}_$version.pth
base=${OCTFLUID_CHECKPOINT_URL:-https://mmassets.onedl.ai/mmsegmentation/v0.5/unet}
obtain "${base%/}/$model/$file" "checkpoints/$file" verify_digest "${version##*-}"
