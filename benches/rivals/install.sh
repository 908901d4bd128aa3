#!/bin/sh
# install.sh PYTHON VENV REQUIREMENTS [NAME]: a fresh venv with each requirement, or those that start with NAME.
set -eu
python=$1 venv=$2 requirements=$3 name=${4-[a-z]}
"$python" -c '' 2>/dev/null || { echo "no $python: skipping $venv"; exit 0; }
"$python" -m venv --clear "$venv"
grep "^$name" "$requirements" | while IFS= read -r requirement; do
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$requirement" || echo "not installed: $requirement"
done
