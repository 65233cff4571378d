#!/bin/sh
# Writes gator.prom into the folder that node_exporter --collector.textfile.directory names.
set -eu
file="$1/gator.prom"
trap 'rm -f "$file.$$"' EXIT
gator stats --format prometheus >"$file.$$"
chmod a+r "$file.$$"
mv "$file.$$" "$file"
