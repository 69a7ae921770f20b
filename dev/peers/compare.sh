#!/bin/sh
# Reads the vectors of docs/hashes.json with other people's packages, and counts what each makes of them.
# Needs Node with npm, or Python, or both; what can't be had is skipped with a line. It writes only to target/peers.
cd "$(dirname "$0")/../.." || exit 1
mkdir -p target/peers
if npm install --prefix target/peers --no-audit --no-fund --ignore-scripts --silent \
    validator email-addresses libphonenumber-js phone >target/peers/npm.log 2>&1; then
    cp dev/peers/peers.mjs target/peers/peers.mjs && node target/peers/peers.mjs docs/hashes.json
else
    echo "skipped: the packages of npm can't be had (target/peers/npm.log)"
fi
if python3 -m venv target/peers/python >target/peers/pip.log 2>&1 && target/peers/python/bin/pip install --quiet \
    --disable-pip-version-check email-validator phonenumbers facebook-business >>target/peers/pip.log 2>&1; then
    target/peers/python/bin/python dev/peers/peers.py docs/hashes.json
else
    echo "skipped: the packages of PyPI can't be had (target/peers/pip.log)"
fi
