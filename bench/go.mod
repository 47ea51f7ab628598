module github.com/aioloop/aioloop/bench

go 1.25.0

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0
	github.com/aioloop/aioloop v0.0.0
	golang.org/x/sys v0.47.0
	golang.org/x/term v0.45.0
	pgregory.net/rapid v1.3.0
)

require github.com/iceber/iouring-go v0.0.0-20230403020409-002cfd2e2a90 // indirect

replace github.com/aioloop/aioloop => ../
