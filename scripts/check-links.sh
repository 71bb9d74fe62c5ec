#!/bin/sh
# check-links.sh: every relative link of the project's own pages leads to a file that is there.
set -u
cd "$(dirname "$0")/.." || exit 1
broken=0
for page in $(git ls-files '*.md'); do
    folder=$(dirname "$page")
    for link in $(grep -o '](\([^)#]*\)' "$page" | sed 's/^](//' | sort -u); do
        case $link in http*:* | mailto:*) continue ;; esac
        if [ ! -e "$folder/$link" ]; then
            echo "$page: $link is not there"
            broken=1
        fi
    done
done
exit $broken
