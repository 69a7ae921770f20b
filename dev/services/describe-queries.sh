#!/bin/sh
# Writes sqlx's description of every query in shared into a folder, from a throwaway Postgres with all migrations.
set -eu
folder=$1
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
sh dev/services/install.sh postgres
rm -rf "$folder"
mkdir -p "$folder"
# The macros don't notice that the database changed; the touch makes them run.
touch shared/src/lib.rs
SQLX_OFFLINE_DIR=$folder cargo run --quiet --package services -- with-postgres sh -c '
  cargo run --quiet --package services -- migrate && SQLX_OFFLINE=false cargo check --quiet --package shared'
