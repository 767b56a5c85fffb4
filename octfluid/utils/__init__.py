"""What every part of the package uses: errors, command lines, atomic files, locks."""
