#!/usr/bin/env bash
# Fetch and unpack one of the two public data sets into data/raw/.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/scripts/lib_download.sh"

usage() {
    cat << 'TEXT'
usage: bash scripts/download_data.sh {duke,hrf}

Fetches the archive to data/raw/ (resumed when interrupted), verifies it and unpacks it to data/raw/duke or data/raw/hrf.
  duke   Duke DME OCT volumes (Chiu et al., 2015): data/raw/2015_BOE_Chiu2.zip
  hrf    HRF fundus photographs and vessel masks (CC BY 4.0): data/raw/all.zip
Offline: fetch the archive elsewhere, put it under the name above, and run this: it is verified, unpacked, not fetched.
OCTFLUID_DUKE_URL and OCTFLUID_HRF_URL replace the addresses of the archives, for mirrors.

example:
  bash scripts/download_data.sh duke
TEXT
}

case ${1-} in
    -h | --help)
        usage
        exit 0
        ;;
    duke)
        url=${OCTFLUID_DUKE_URL:-https://people.duke.edu/~sf59/Datasets/2015_BOE_Chiu2.zip}
        archive=data/raw/2015_BOE_Chiu2.zip holds='*Subject_*.mat'
        converter=duke_dme.py out=data/duke_dme
        ;;
    hrf)
        url=${OCTFLUID_HRF_URL:-https://www5.cs.fau.de/fileadmin/research/datasets/fundus-images/all.zip}
        archive=data/raw/all.zip holds='*manual1/*.tif'
        converter=hrf.py out=data/hrf
        ;;
    '') usage_error 'which data set? expected duke or hrf' ;;
    *) usage_error "unknown data set '$1'; expected duke or hrf" ;;
esac
(($# == 1)) || usage_error 'expected one data set'

cd "$root"
folder=data/raw/$1
python=$(python_command)
if [[ -d $folder && -n $(ls -A "$folder") ]]; then
    say "found $folder (delete it to unpack again)"
else
    obtain "$url" "$archive" "$python" scripts/unpack_zip.py --holds "$holds"
    "$python" scripts/unpack_zip.py "$archive" --into "$folder"
    say "unpacked to $folder"
fi
say "next: python tools/dataset_converters/$converter $folder --out $out"
