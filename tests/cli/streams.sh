# Where the output goes to is full, not open, or not there any more: an error, and no file is harmed.
t sh -c 'tare --version >/dev/full'
t sh -c 'tare --version >&-'
t sh -c 'tare report --help >&- <&-'
t sh -c 'tare --version 2>&-'
