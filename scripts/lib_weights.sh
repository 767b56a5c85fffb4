# Sourced by the scripts that use weights trained on HRF vessels.

# digest_of FILE: the SHA-256 of FILE.
digest_of() {
    if command -v sha256sum > /dev/null; then sha256sum -- "$1"; else shasum -a 256 -- "$1"; fi | cut -d ' ' -f 1 | tr -d '\\'
}

# find_weights HEAD: sets $weights to the weights of this head: ours in checkpoints/hrf, else the model zoo's in checkpoints, else ''.
# Exits with status 2 if there are several, or if the SHA-256 of the file does not begin with the digits of its name.
find_weights() {
    local digits digest
    weights=$(find -L checkpoints/hrf -maxdepth 1 -name "$1_*_hrf-*.pth" 2> /dev/null || true)
    [[ -n $weights ]] ||
        weights=$(find -L checkpoints -maxdepth 1 -name "$1_unet_s5-d16_256x256_40k_hrf_*.pth" 2> /dev/null || true)
    [[ -n $weights ]] || return 0
    if [[ $weights == *$'\n'* ]]; then
        echo "error: several weights of $1: ${weights//$'\n'/, }; expected one, move the others away" >&2
        exit 2
    fi
    digits=${weights##*-} digits=${digits%.pth}
    digest=$(digest_of "$weights")
    if [[ $digest != "$digits"* ]]; then
        echo "error: $weights: is broken, its SHA-256 begins with ${digest:0:8} instead of $digits; fetch or publish it again" >&2
        exit 2
    fi
}
