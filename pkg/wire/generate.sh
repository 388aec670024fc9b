#!/bin/sh
# Rebuilds telemetry.pb.go with protoc and the generator pinned in go.mod.
set -eu
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
go build -o "$tools/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go
PATH="$tools:$PATH" protoc --go_out=. --go_opt=paths=source_relative telemetry.proto
# The version of protoc differs from machine to machine and says nothing here.
sed -i '/^\/\/ \tprotoc  *v/d' telemetry.pb.go
