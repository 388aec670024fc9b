// Package version names the build.
package version

// Version is the build's version; the linker sets it from the repository.
var Version = "unknown"
