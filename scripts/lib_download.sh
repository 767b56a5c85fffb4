# Shared by the download scripts: sourced, not run.
# A file is fetched to NAME.part, resumed there on the next try, and gets its name only when it has been verified.

say() { printf '%s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

usage_error() {
    printf 'error: %s (see bash %s --help)\n' "$1" "$0" >&2
    exit 2
}

python_command() {
    command -v python3 || command -v python || die 'no python3 on the PATH; install Python 3.11 to 3.13'
}

# fetch URL FILE: continue FILE.part, or begin it.
fetch() {
    local url=$1 part=$2.part status=0 code curl
    mkdir -p "$(dirname "$part")"
    if command -v curl > /dev/null; then
        curl=(curl --fail --location --retry 3 --connect-timeout 20 --speed-limit 1 --speed-time 60 --progress-bar --output "$part")
        code=$("${curl[@]}" --continue-at - --write-out '%{http_code}' "$url") || status=$?
        # The server cannot resume at all (33), or has no such range (416: FILE.part is not the beginning of this file).
        if [[ $status == 33 || $code == 416 ]]; then
            rm -f "$part"
            status=0
            "${curl[@]}" "$url" || status=$?
        fi
    elif command -v wget > /dev/null; then
        wget --continue --tries=4 --timeout=20 --output-document="$part" "$url" || status=$?
    else
        die 'neither curl nor wget on the PATH; install one of them'
    fi
    # wget leaves an empty file when it cannot connect.
    [[ -s $part ]] || rm -f "$part"
    return "$status"
}

# obtain URL FILE VERIFY...: make sure that FILE is there and that "VERIFY... FILE" succeeds. A file that somebody put there
# by hand is used as it is; a damaged one is reported and left alone.
obtain() {
    local url=$1 file=$2
    shift 2
    if [[ -e $file ]]; then
        "$@" "$file" || die "$file: is damaged or incomplete; delete it and run this again"
        say "found $file"
        return
    fi
    # An earlier run may have fetched everything and stopped before the renaming.
    if ! [[ -s $file.part ]] || ! "$@" "$file.part" 2> /dev/null; then
        say "fetching $url"
        fetch "$url" "$file" || die "$url: cannot be fetched; run this again to resume, or, if this machine is offline," \
            "fetch it elsewhere, save it as $file, and run this again"
        "$@" "$file.part" || {
            rm -f "$file.part"
            die "$url: what arrived is not the expected file and was deleted; run this again, or fetch it elsewhere" \
                "and save it as $file"
        }
    fi
    mv "$file.part" "$file"
    say "saved $file"
}
