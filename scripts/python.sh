#!/bin/sh
# Name the Python that is to make .venv: the system's own where it will do, for distributions compile theirs with
# optimisation and what people compile themselves seldom is (docs/scaling.md); else the first python3 on the path.
for python in /usr/bin/python3 python3; do
	if "$python" "$(dirname "$0")/check_python.py" >/dev/null 2>&1; then
		echo "$python"
		exit
	fi
done
echo python3
