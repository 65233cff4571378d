#!/bin/sh
# Writes gator.prom into a folder, the one that is named to node_exporter with
# --collector.textfile.directory.
set -eu
file="$1/gator.prom"
trap 'rm -f "$file.$$"' EXIT
gator stats --format prometheus >"$file.$$"
chmod a+r "$file.$$"
mv "$file.$$" "$file"
