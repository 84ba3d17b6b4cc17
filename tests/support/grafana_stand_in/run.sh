#!/bin/sh
# What the official image runs: the server, with the paths that its environment names, and the arguments that it is given.
exec /usr/share/grafana/bin/grafana server \
	--homepath="${GF_PATHS_HOME:-/usr/share/grafana}" --config="${GF_PATHS_CONFIG:-/etc/grafana/grafana.ini}" "$@"
