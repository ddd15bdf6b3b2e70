module wasmjob.dev/examples/checksum

go 1.24
